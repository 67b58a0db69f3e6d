"""Questions that need a file of their own: to one read model with many, or to several at once; none has a table of its own."""
