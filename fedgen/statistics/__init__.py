"""Statistics of one federation."""
