"""Figures of nights and of scores, as PNG files."""
