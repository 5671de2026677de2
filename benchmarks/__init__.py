"""Programs that measure; each prints a table and writes benchmarks/results/."""

from lucid_rl.quiet_tensorflow import hide_notices

hide_notices()
