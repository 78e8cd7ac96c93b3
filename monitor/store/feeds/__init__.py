"""What is known of the feeds: how each one does, and which of its items have been seen."""
