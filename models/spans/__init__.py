"""The token head: names in a text and the sentiment towards each, read from the same pass."""
