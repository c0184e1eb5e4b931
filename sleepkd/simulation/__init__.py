"""A simulated cohort in MASS's own layout, for tests, the demo and ideas that want the truth known.

`subject` and `hypnogram` say who sleeps and how; `night` adds the events that all signals share; `heart` and `ecg`,
`eeg` and `face` make the signals; `layout` and `cohort` put them into files. A publication named beside a number gives
its direction and its order of magnitude; the number itself is set so that the judges of `benchmarks/simulation.py`,
which know nothing of it, find what they find in real nights.
"""
