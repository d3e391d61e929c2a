"""fedgen: fit, sample and validate federations of users, servers and rooms."""

__version__ = "0.1.0"
