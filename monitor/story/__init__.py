"""Which documents tell the same story: copies found in the stream, and how a story is shown."""
