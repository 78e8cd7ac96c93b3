"""Files whose rows are documents: read once, whatever crashes when."""
