"""Draws federations from a model."""
