"""Observations and trajectories, sampled by an agent or recorded."""
