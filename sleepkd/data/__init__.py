"""Prepared stores, and how training, evaluation and prediction read them: signals, nights, segments, batches."""
