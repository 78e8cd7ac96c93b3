"""Copies and stories: which documents tell the same, and how they are shown."""
