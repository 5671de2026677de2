"""Attribution, NMF, dataset examples and feature visualization; no games."""
