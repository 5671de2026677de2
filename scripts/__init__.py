"""Thin programs over lucid_rl: flags, settings, one call."""

import os

from lucid_rl.quiet_tensorflow import hide_notices

hide_notices()
# Figures go to files; a backend that matplotlib does not know would stop its import.
os.environ.pop("MPLBACKEND", None)
