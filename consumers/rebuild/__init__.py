"""Makes a read model again from offset 0 beside the one that serves, with parallel workers, and hands it over to the projectors."""
