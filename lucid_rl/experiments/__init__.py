"""The article's tables and figures, and what goes beyond them, as programs."""
