"""A believable day of a hotline, made from a seed, and an adapter that plays it against the public intake and nothing else."""
