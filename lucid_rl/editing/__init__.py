"""Editing weights so that an agent no longer sees a feature."""
