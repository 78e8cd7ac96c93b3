"""Alarm when the share of negative documents of a key rises."""
