"""A simulated cohort in MASS's own layout."""
