"""Extracts the model of a measured federation."""
