"""Builds federations that meet published figures: where a measurement cannot be had, but its paper can."""
