"""Numbers only: every score of a set of nights, how sure it is, and whether the probabilities are honest."""
