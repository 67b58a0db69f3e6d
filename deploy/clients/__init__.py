"""Programs of people outside, worked out: each reads our topics with what it has, and imports nothing of ours. README.md tells how."""
