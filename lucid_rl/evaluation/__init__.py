"""Evaluation: episodes, causes of failure, statistics, moments."""
