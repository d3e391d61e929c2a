"""The load that federated messaging puts on every server."""
