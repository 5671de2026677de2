"""The article's tables and figures, as programs over one folder of results."""
