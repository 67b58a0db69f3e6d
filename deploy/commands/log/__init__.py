"""Commands that read the log itself: as it grows, once more, and what nobody can read of it."""
