"""Facts, commands and decisions, and how they travel. Imports nothing of ours."""
