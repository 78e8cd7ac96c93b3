"""The peers: other ways to run the same network over the same texts."""
