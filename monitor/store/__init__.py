"""One transaction for offsets, documents, aggregates, state, alerts and outbox."""
