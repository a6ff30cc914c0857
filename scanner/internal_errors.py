"""Faults of our own: name the place in the code, and nothing that a file may have said.

An exception's text holds values from files, headers of requests and sometimes secrets; so neither
it nor a traceback is written anywhere. The name of the exception and the innermost line of this
package tell whoever mends it where to look.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["CODE", "faults_on_stderr", "log_fault"]

CODE: Final = "scan/internal-error"

_PACKAGE: Final = f"{__name__.partition('.')[0]}."
_logger: Final = logging.getLogger("prefect_mutagen")


def log_fault(problem: Exception, doing: str, url: str) -> str:
    """Write a fault to the log.

    Args:
        problem: The exception that was caught.
        doing: What was being done, as "examining" is.
        url: The artifact it was done for.

    Returns:
        The same in a clause, without the artifact.
    """
    message = f"the scanner itself failed while {doing}: {_place_of(problem)}"
    _logger.error("%a: %s: %s", url, CODE, message)
    return message


@contextmanager
def faults_on_stderr() -> Iterator[None]:
    """Show faults as the command shows what is wrong: in a line on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("prefect-mutagen: %(message)s"))
    _logger.addHandler(handler)
    before, _logger.propagate = _logger.propagate, False
    try:
        yield
    finally:
        _logger.propagate = before
        _logger.removeHandler(handler)


def _place_of(problem: Exception) -> str:
    """Name an exception and the innermost line of this package that it went through."""
    place = "no line of its own"
    trace = problem.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith(_PACKAGE):
            name = trace.tb_frame.f_code.co_qualname
            place = f"{module}:{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(problem).__name__} at {place}"
