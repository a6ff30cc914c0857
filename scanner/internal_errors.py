"""Log bugs of the scanner by their location in the code, without the exception's message.

The message of an exception may contain values from files, request headers and secrets. So neither
it nor a traceback is logged. The exception's type and the innermost line in this package are enough
to find the bug.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["CODE", "faults_on_stderr", "location_of", "log_fault"]

CODE: Final = "scan/internal-error"

_PACKAGE: Final = f"{__name__.partition('.')[0]}."
_logger: Final = logging.getLogger("prefect_mutagen")


def log_fault(problem: Exception, doing: str, url: str) -> str:
    """Log an unexpected exception.

    Args:
        problem: The exception that was caught.
        doing: The step that failed, as a participle such as "examining".
        url: Address of the artifact.

    Returns:
        The logged clause, without the address.
    """
    message = f"the scanner itself failed while {doing}: {location_of(problem)}"
    _logger.error("%a: %s: %s", url, CODE, message)
    return message


@contextmanager
def faults_on_stderr() -> Iterator[None]:
    """Write logged faults to stderr, one line each, in the style of the command's errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("prefect-mutagen: %(message)s"))
    _logger.addHandler(handler)
    before, _logger.propagate = _logger.propagate, False
    try:
        yield
    finally:
        _logger.propagate = before
        _logger.removeHandler(handler)


def location_of(problem: Exception) -> str:
    """Return an exception's type and the innermost line of this package in its traceback."""
    location = "no line of this package"
    trace = problem.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith(_PACKAGE):
            name = trace.tb_frame.f_code.co_qualname
            location = f"{module}:{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(problem).__name__} at {location}"
