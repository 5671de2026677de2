"""Runs pytest on the files named, as Bazel's test targets do."""

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-m", "not slow", *sys.argv[1:]]))
