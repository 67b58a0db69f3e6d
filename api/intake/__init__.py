"""The intake application: facts of adapters and commands of operators become events on Kafka, or nothing was taken."""
