"""The drift audit: read models compared with a second, naive fold of the log, and one ticket made again from it."""
