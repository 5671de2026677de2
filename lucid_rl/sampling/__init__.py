"""Observations and trajectories of an agent at play."""
