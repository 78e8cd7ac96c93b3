"""Messages on their way to Kafka, each of which is written there exactly once."""
