"""Whether Python and Java put a key on the same partition."""
