"""Looks at every hazard of a set-up and names the remedy of each: `hotline doctor`, and in short before anything of ours starts."""
