"""Looking at a prepared store: what it holds, as a table, and each night as a picture."""
