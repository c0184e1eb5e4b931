"""Scores of a set of nights: agreement with the scoring, confidence intervals, calibration, sleep statistics."""
