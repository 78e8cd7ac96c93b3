"""Alarm when a key speaks far more than it should at this hour of the week."""
