"""HTML: the parts of a page, and the report."""
