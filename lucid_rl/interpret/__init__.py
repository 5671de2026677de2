"""Attribution, NMF, dataset examples and feature visualization; knows no game."""
