"""What an alert followed from, and whether that still gives it."""
