"""Figures of federations for a paper or a page: ranks, histograms.

Each figure is a function of federations and their names that returns a matplotlib ``Figure``; nothing is shown, no
state stays behind. :mod:`~fedgen.figures.pages` lists them and turns one into the bytes of a file.
"""
