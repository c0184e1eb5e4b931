"""Simulated polysomnography in the layout of MASS: whole nights whose true sleep stages and heartbeats are known.

For tests, the demo, and experiments that need the ground truth. `subject` draws a person from a `population`;
`sleep_architecture` simulates the sleep stages, `simulated_night` the events that all signals share; `cardiac` and
`ecg`, `eeg` and `eog_emg` simulate the signals; `respiration`, `oximetry`, `ppg` and `movement` the sensors of
`sensor_channels`; `inter_rater` simulates the scorers; `mass_layout` and `cohort` write the files.

A publication cited beside a number gives its direction and its order of magnitude. The number itself is tuned until the
checks of `benchmarks/simulation.py`, which read only the files, measure on simulated nights what they measure on real
ones.
"""
