"""Why one attempt at a reconstruction ends early."""

from fedgen.errors import FedgenError


class DeadEndError(FedgenError):
    """This draw leads nowhere; the next attempt draws anew."""
