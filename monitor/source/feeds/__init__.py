"""RSS and Atom feeds into Kafka."""
