"""How events travel: schemas, bytes, the way into the log and where it ends."""
