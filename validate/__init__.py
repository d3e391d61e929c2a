"""Holds a generated federation against a measured one."""
