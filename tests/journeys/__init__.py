"""Stories played through all processes on a real Kafka and a real Postgres."""
