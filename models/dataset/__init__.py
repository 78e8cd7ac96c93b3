"""Labelled texts: reading, checking, splitting."""
