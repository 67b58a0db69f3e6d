"""Local servers out of packages: Kafka on a packaged Java, Postgres from its wheel."""
