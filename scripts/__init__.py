"""Thin programs over lucid_rl: flags, settings, one call."""
