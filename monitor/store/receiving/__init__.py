"""What was handed in: over HTTP, or in files."""
