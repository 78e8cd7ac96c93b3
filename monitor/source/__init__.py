"""Where records come from: Kafka, or a script in memory."""
