"""Versions of the model on disk: one of them is current, and a journal says how it came to be."""
