"""From verdicts to counts per key and bucket of event time."""
