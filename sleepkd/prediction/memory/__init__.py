"""Recordings that a program holds in memory: arrays, MNE, WFDB, pandas."""
