"""A crisis that did not happen, on the way of a real one: see docs/drill.md."""
