"""Documents over HTTP: ``POST /v1/documents``."""
