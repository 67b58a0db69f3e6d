"""Exit codes of the `hotline` command; README.md names them for people."""

DONE = 0
FOUND = 1  # done, and something was found missing, wrong or refused
USAGE = 2
AWAY = 3  # a part is unreachable, or nobody knows what it did
