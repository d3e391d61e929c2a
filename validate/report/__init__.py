"""A scorecard and both its federations as one page for people."""
