"""Commands that administer Kafka: topics, and who may do what."""
