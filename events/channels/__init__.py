"""The five channels: what a message of each means, and its translation into facts. See `registry.py` for the list."""
