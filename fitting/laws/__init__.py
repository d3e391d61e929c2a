"""Tail laws: on the integers from xmin on, and their continuous versions; each with density, draws and fit."""
