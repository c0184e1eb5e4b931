"""The machinery around the training loop: state, run directory, log, schedule."""
