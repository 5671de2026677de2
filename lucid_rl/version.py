"""The version of lucid_rl, read by setup.py and written into every result."""

__version__ = "0.1.0"
