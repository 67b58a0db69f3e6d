"""Our schemas in a schema registry, under the ids of the lock: what is wanted there, and how each kind of registry takes it."""
