"""A new snapshot of a federation: the crawler, and a homeserver's own data."""
