"""Who may do what on Kafka, as code."""
