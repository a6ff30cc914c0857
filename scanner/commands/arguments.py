"""Parse the command line; errors are one sentence, without the usage."""

import argparse
import re
from collections.abc import Collection, Sequence
from typing import Any, Final, NoReturn

from prefect_mutagen.scanner.policy.entries import nearest

__all__ = ["Parser", "WrongUsage", "filled", "listed", "one_of", "positive", "whole_number"]

_MISSING: Final = "the following arguments are required: "
_REPLACED_MESSAGES: Final = (
    (re.compile("expected (at least )?one argument"), "needs a value"),
    (re.compile("ignored explicit argument .*"), "takes no value"),
)
"""Messages of argparse about one argument, and what to write instead."""


_NUMBER: Final = re.compile("-?[0-9]{1,18}")


class WrongUsage(Exception):  # noqa: N818 - named for what happened
    """The command line is invalid; the message is one sentence."""


class Parser(argparse.ArgumentParser):
    """A parser that raises `WrongUsage` instead of exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message in the style of the other messages.

        Raises:
            WrongUsage: Always.
        """
        if message.startswith(_MISSING):
            names = message.removeprefix(_MISSING).split(", ")
            raise WrongUsage(f"{self._called} needs {listed(names, 'and')}{self._see_help}")
        found = re.fullmatch(r"argument (\S+): (.*)", message, re.DOTALL)
        if found is None:
            raise WrongUsage(message)
        name, said = found.groups()
        for pattern, ours in _REPLACED_MESSAGES:
            if pattern.fullmatch(said):
                said = ours
        raise WrongUsage(f"{name} {said}")

    def refuse_rest(self, rest: Sequence[str]) -> None:
        """Refuse unknown arguments.

        Args:
            rest: What `parse_known_args` did not recognise.

        Raises:
            WrongUsage: There are any.
        """
        for word in rest:
            if word.startswith("-"):
                name = word.partition("=")[0]
                remedy = nearest(name, self._option_string_actions) or self._see_help
                raise WrongUsage(f"{self._called} has no option {name}{remedy}")
        if rest:
            raise WrongUsage(f"{self._called} takes no argument {rest[0]!r}{self._see_help}")

    @property
    def _called(self) -> str:
        return self.prog.rpartition(" ")[2]

    @property
    def _see_help(self) -> str:
        return f"; see {self.prog} --help"


def listed(names: Sequence[str], word: str) -> str:
    """Join names for a sentence, with a word such as "and" before the last."""
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last


def one_of(names: Collection[str], *, fold: bool = False) -> dict[str, Any]:
    """Return the options of an argument that takes one of several values.

    Args:
        names: The values.
        fold: Whether to ignore case.
    """

    def read(text: str) -> str:
        given = text.lower() if fold else text
        if given in names:
            return given
        remedy = nearest(given.lower(), names) or f"; choose {listed(sorted(names), 'or')}"
        raise argparse.ArgumentTypeError(f"has no choice {text!r}{remedy}")

    return {"type": read, "metavar": "{" + ",".join(sorted(names)) + "}"}


def whole_number(text: str) -> int:
    """Parse a whole number.

    Raises:
        argparse.ArgumentTypeError: It is not one.
    """
    if not _NUMBER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"takes a whole number, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    """Parse a whole number above 0.

    Raises:
        argparse.ArgumentTypeError: It is not one.
    """
    if not _NUMBER.fullmatch(text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"takes a whole number above 0, not {text!r}")
    return int(text)


def filled(text: str) -> str:
    """Return an argument that must not be blank: an unset variable must not mean "none".

    Raises:
        argparse.ArgumentTypeError: It is blank.
    """
    if not text.strip():
        message = "is empty; a variable that it comes from may not be set"
        raise argparse.ArgumentTypeError(message)
    return text
