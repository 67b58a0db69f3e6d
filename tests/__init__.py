"""Tests, mirroring the packages; see README for how they are run."""
