"""Benches: how fast each part is, beside the floor that its servers set in the same run. `python -m tests.bench`."""
