"""EDF, EDF+ and BDF files, read field by field.

What others found wrong in such files is said or put right here, which a library that reads good files need not do:
edfio and MNE refuse, or shift in silence, many that devices write. Good files are compared with both in the tests.
"""
