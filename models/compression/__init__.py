"""Smaller models: 16 or 8 bits a weight, or fewer layers, and what each costs."""
