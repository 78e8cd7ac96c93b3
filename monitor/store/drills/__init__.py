"""Drills: what they came to, and how their news was delivered."""
