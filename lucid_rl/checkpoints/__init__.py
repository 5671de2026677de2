"""The article's checkpoint files: safe reading, writing, validation and download."""
