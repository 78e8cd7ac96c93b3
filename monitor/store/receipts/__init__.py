"""What alerts followed from, as it is stored."""
