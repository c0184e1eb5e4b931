"""What the documentation site is built with: hooks of MkDocs, executed notebooks, the gallery, the table of scores."""
