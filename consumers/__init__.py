"""Processes that read topics: the loop, the projectors, the desk, the relay, rebuilding."""
