"""Inspection of a prepared store: a table of its recordings, and an HTML page with a figure of each night."""
