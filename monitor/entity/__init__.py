"""Which listed companies, other organisations and watched things a text names."""
