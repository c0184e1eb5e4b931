"""Heartbeats of an ECG: where it holds a signal, its R peaks, and how alike its beats are."""
