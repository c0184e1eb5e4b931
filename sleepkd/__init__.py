"""EEG-assisted knowledge distillation for single-lead ECG sleep staging."""
