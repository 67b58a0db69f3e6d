"""The simulated day, and the adapter that plays it."""
