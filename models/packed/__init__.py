"""The forward pass without padding: rows end to end, attention within each row, a mean a row."""
