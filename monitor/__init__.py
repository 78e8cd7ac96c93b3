"""A self-hosted, streaming monitor of financial sentiment and opinion."""
