"""Checkpoints: how they are written and read, the trained network in one, and the temperature beside it."""
