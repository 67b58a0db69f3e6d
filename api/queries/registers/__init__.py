"""Routes over reference data: what is asked of no table."""
