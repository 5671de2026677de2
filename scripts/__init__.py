"""Thin programs over lucid_rl: flags, settings, one call."""

from lucid_rl.quiet_tensorflow import hide_notices

hide_notices()
