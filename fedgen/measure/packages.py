"""The packages that measuring needs and the rest of fedgen does not: the extra ``measure``."""

from __future__ import annotations

from importlib import import_module

from fedgen.errors import UsageError


def need(*packages: str) -> None:
    """See that packages are installed.

    Raises:
        UsageError: one is not; says how to install it.
    """
    for package in packages:
        try:
            import_module(package)
        except ImportError:
            raise UsageError(
                f"measuring needs the package {package}; install it with: uv tool install 'fedgen[measure]'"
            ) from None
