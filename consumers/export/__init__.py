"""The log and the facts about tickets as files for other people's tools: Parquet, Avro or CSV, restartable, each file with its digest."""
