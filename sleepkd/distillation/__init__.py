"""Teacher and student in the same step: the stage, its taps, its terms."""
