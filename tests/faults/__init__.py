"""The fault kit: ways to harm a running hotline, a record of what its callers were told, and one checker of the invariants."""
