"""``prefect-mutagen deployments``: write the shipped deployments into a folder.

They are package data, because whoever installed from an index has no checkout to deploy from.
Writing them needs no Prefect; ``prefect deploy`` reads them.
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
The schedule is paused: set source and table of scheduled-scan in {main}, and active to true.
"""
_NEXT: Final = """\
Next, in {folder}:
  prefect work-pool create models --type process
  prefect --no-prompt deploy --all
  prefect worker start --pool models
"""


def add_parser(commands: Any) -> None:
    """Add the command to what `argparse.ArgumentParser.add_subparsers` returned."""
    parser = commands.add_parser("deployments", help="write the shipped Prefect deployments")
    parser.add_argument(
        "folder", type=filled, metavar="DIR", help="where to write; nothing is overwritten"
    )
    parser.add_argument(
        "--source",
        type=filled,
        metavar="URL",
        help="root of the scheduled scan; its schedule is paused without one",
    )
    parser.add_argument(
        "--table",
        type=filled,
        metavar="URL",
        help="Parquet table of the scheduled scan; without one each scan reads everything",
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
    texts = dict(_shipped(files("prefect_mutagen") / "deployments"))
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
    """Check the parameters that are given; local paths become absolute, as a worker needs them.

    Raises:
        WrongUsage: One would store a secret in clear text.
    """
    parameters = {name: value for name, value in given.items() if value is not None}
    for name, value in parameters.items():
        if name == "storage":
            continue
        address = Address.parse(value)
        if address.has_secrets:
            raise WrongUsage(
                f"--{name} carries a user, a password or a signature, which Prefect would store in "
                "clear text: put the credentials into a block and name it with --storage"
            )
        parameters[name] = address.text
    return parameters


def _shipped(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Read the shipped files, with their paths below the folder."""
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _shipped(entry, f"{name}/")
        else:
            yield name, entry.read_text("utf-8")


def _fill_in(text: str, parameters: Mapping[str, str]) -> str:
    """Set parameters that stand there as comments; with a source, make the schedule active.

    The file is edited as text: what it explains in comments is to stay.
    """
    for name, value in parameters.items():
        line = f"{name}: {json.dumps(value, ensure_ascii=False)}"  # YAML takes JSON's texts
        text = _replace(rf"# {name}: .*", line, text)
    return _replace("active: false", "active: true", text) if "source" in parameters else text


def _replace(pattern: str, line: str, text: str) -> str:
    """Replace the one line, apart from its indentation, that is as the pattern says."""
    text, count = re.subn(
        rf"^( +){pattern}$", lambda found: found[1] + line, text, flags=re.MULTILINE
    )
    if count != 1:
        raise AssertionError(f"the shipped {_MAIN} has {count} lines {pattern!r}")
    return text


def _write(folder: str, texts: Mapping[str, str]) -> None:
    """Write files that are not there yet; when one of them is, write none.

    Raises:
        FileExistsError: One is there, or something else has the folder's name.
        OSError: The folder cannot be written.
    """
    places = {os.path.join(folder, name): text.encode() for name, text in texts.items()}
    for place in places:
        if os.path.lexists(place):
            raise FileExistsError(0, "", place)
    for place, data in places.items():
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "xb") as file:
            file.write(data)
