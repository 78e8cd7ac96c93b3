"""Exceptions of the package; each message says what is wrong, where, and how to mend it."""


class ModelError(Exception):
    """A model directory, backbone or recipe that cannot be used."""


class DataError(ModelError):
    """A training or evaluation file that cannot be used; the message names file and row."""
