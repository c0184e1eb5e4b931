"""EDF, EDF+ and BDF files, read field by field.

Faults of real files are corrected or reported here. The libraries edfio and MNE reject many files that devices write,
or shift them silently. The tests compare files without faults with both.
"""
