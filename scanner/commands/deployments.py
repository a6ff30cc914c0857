"""``prefect-mutagen deployments``: write the bundled Prefect deployments to a folder.

They are package data, because users who installed from an index have no checkout to deploy from.
Writing them does not need Prefect; ``prefect deploy`` reads them.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

from prefect_mutagen.scanner.commands.arguments import WrongUsage, filled
from prefect_mutagen.scanner.commands.shared import PASSED, UNREACHABLE, complain
from prefect_mutagen.scanner.storage.address import Address

__all__ = ["add_parser"]

_MAIN: Final = "prefect.yaml"
_PARAMETERS: Final = ("source", "table", "storage")
_PAUSED: Final = """\
The scan's schedule is paused: set source and table of scheduled-scan in {main}, and active to true.
"""
_NEXT: Final = """\
Next, in {folder}:
  prefect work-pool create models --type process
  prefect --no-prompt deploy --all
  prefect worker start --pool models
The automations are edited, and installed, one by one:
  python -m prefect_mutagen.flows.automations automations/notify-new-refusals.yaml
"""


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser("deployments", help="write the bundled Prefect deployments")
    parser.add_argument(
        "folder", type=filled, metavar="DIR", help="folder to write to; nothing is overwritten"
    )
    parser.add_argument(
        "--source",
        type=filled,
        metavar="URL",
        help="root of the scheduled scan; without one, its schedule is paused",
    )
    parser.add_argument(
        "--table",
        type=filled,
        metavar="URL",
        help="Parquet table of the scheduled scan; without one, every scan reads everything",
    )
    parser.add_argument(
        "--storage",
        type=filled,
        metavar="BLOCK",
        help="Prefect block with the credentials of the scheduled scan, as type/name",
    )
    parser.set_defaults(run=_deployments, refuse_rest=parser.refuse_rest)


def _deployments(options: argparse.Namespace) -> int:
    folder = os.path.expanduser(options.folder)
    given = {name: getattr(options, name) for name in _PARAMETERS}
    bundled = files("prefect_mutagen") / "deployments"
    if not bundled.is_dir():
        complain(
            "deployments come with the flows, which are not installed: pip install prefect-mutagen"
        )
        return UNREACHABLE
    texts = dict(_bundled(bundled))
    try:
        texts[_MAIN] = _fill_in(texts[_MAIN], _checked(given))
        _write(folder, texts)
    except FileExistsError as problem:
        complain(f"{problem.filename} exists and is not overwritten: name another folder")
        return UNREACHABLE
    except OSError as problem:
        complain(f"cannot write to {folder}: {problem.strerror}")
        return UNREACHABLE
    for name in sorted(texts):
        sys.stdout.write(f"{os.path.join(folder, name)}\n")
    if given["source"] is None:
        sys.stdout.write(_PAUSED.format(main=_MAIN))
    sys.stdout.write(_NEXT.format(folder=folder))
    return PASSED


def _checked(given: Mapping[str, str | None]) -> dict[str, str]:
    """Return the given parameters, with absolute paths, as a worker needs them.

    Raises:
        WrongUsage: A parameter would store a secret in clear text.
    """
    parameters = {name: value for name, value in given.items() if value is not None}
    for name, value in parameters.items():
        if name == "storage":
            continue
        try:
            address = Address.parse_clear(value, f"--{name}")
        except ValueError as problem:
            raise WrongUsage(f"{problem}; --storage names a block") from None
        parameters[name] = address.text
    return parameters


def _bundled(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield relative path and text of the bundled files."""
    for entry in folder.iterdir():
        if entry.name == "__pycache__":  # pip compiles the programs among them
            continue
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _bundled(entry, f"{name}/")
        else:
            yield name, entry.read_text("utf-8")


def _fill_in(text: str, parameters: Mapping[str, str]) -> str:
    """Set parameters that are commented out; activate the schedules that have what they need.

    Edits the file as text to preserve its comments.
    """
    for name, value in parameters.items():
        line = f"{name}: {json.dumps(value, ensure_ascii=False)}"  # JSON strings are valid YAML
        text = _replace(rf"# {name}: .*", line, text)
    if "table" in parameters:
        text = _replace("active: false # until there is a table", "active: true", text)
    return _replace("active: false", "active: true", text) if "source" in parameters else text


def _replace(pattern: str, line: str, text: str) -> str:
    """Replace the lines that match a pattern; their indentation is kept."""
    text, count = re.subn(
        rf"^( +){pattern}$", lambda found: found[1] + line, text, flags=re.MULTILINE
    )
    if not count:
        raise AssertionError(f"the bundled {_MAIN} has no line {pattern!r}")
    return text


def _write(folder: str, texts: Mapping[str, str]) -> None:
    """Write files; if one of them exists, write none.

    Raises:
        FileExistsError: One exists, or the folder's name is taken by a file.
        OSError: The folder cannot be written to.
    """
    places = {os.path.join(folder, name): text.encode() for name, text in texts.items()}
    for place in places:
        if os.path.lexists(place):
            raise FileExistsError(0, "", place)
    for place, data in places.items():
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "xb") as file:
            file.write(data)
