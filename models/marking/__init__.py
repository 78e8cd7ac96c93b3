"""Training and judging of the token head, on texts whose names and targets are marked."""
