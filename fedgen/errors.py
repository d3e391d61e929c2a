"""What can go wrong, as one family of exceptions.

Every error that a user may cause derives from :class:`FedgenError`; its message is one line that says what, where and
what to do. The command line prints it and exits with :attr:`FedgenError.exit_code` (DESIGN section 4).
"""


class FedgenError(Exception):
    """Base of all errors fedgen raises on purpose."""

    exit_code = 1


class FormatError(FedgenError):
    """A file is not what it claims to be, or not what fedgen can read."""


class NoUsersError(FormatError):
    """A file holds an attendance: servers in rooms without their users, which only ``fedgen fit`` can use."""


class InvariantError(FedgenError):
    """A federation breaks one of its invariants; the message names the offending entity."""


class ModelError(FedgenError):
    """A model file is broken, of a newer version, or does not fit its digest."""


class FiguresError(FedgenError):
    """A file of published figures is broken or contradicts itself; the message gives the line."""


class UnmetError(FedgenError):
    """No federation was found that meets what was asked; the message says what came nearest."""


class MeasureError(FedgenError):
    """A measurement cannot go on: the homeserver or its database does not answer as it should, or refuses.

    Its message names nobody and no room or server, whatever was being asked.
    """


class OutputError(FedgenError):
    """The result cannot be written: it exists, the disk is full, the folder is not writable."""


class UsageError(FedgenError):
    """A wrong call: an unknown name, a size that is not a number, options that exclude each other."""

    exit_code = 2


class StatisticError(UsageError):
    """A statistic that the vocabulary does not have, or that lacks or has too much of what it takes.

    Attributes:
        key: the part that is wrong: ``statistic``, ``of``, ``ranks``, ...
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class InfeasibleError(UsageError):
    """Sizes that no federation can meet together; the message gives the feasible range."""


class FedgenWarning(UserWarning):
    """A remark: the input has something odd that was mended or left out; the message says what and how many."""
