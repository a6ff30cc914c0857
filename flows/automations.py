"""Install automations from files that name deployments and blocks, as ``prefect deploy`` does runs.

::

    python -m prefect_mutagen.flows.automations FILE_OR_FOLDER...

A file is what ``prefect automation create --from-file`` takes, with ``deployment: FLOW/NAME`` and
``block: TYPE/NAME`` in place of the ids that only a server knows. An automation of the same name is
updated, so the command can be repeated.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

__all__ = ["NotInstalled", "install", "main"]

_SUFFIXES: Final = (".yaml", ".yml")


class NotInstalled(Exception):  # noqa: N818 - named after what happened
    """An automation cannot be installed; the message is one sentence, with what to do."""


def install(paths: Iterable[Path]) -> Iterator[str]:
    """Install automations, and yield a line on each.

    Args:
        paths: Files, and folders of files.

    Raises:
        NotInstalled: A file is no automation, or names a deployment or a block that is not there.
            Those before it are installed.
        httpx.HTTPError: The server cannot be reached.
    """
    with get_client(sync_client=True) as client:
        for path in _files_of(paths):
            automation = _automation(path, client)
            known = client.read_automations_by_name(automation.name)
            try:
                if known:
                    client.update_automation(known[0].id, automation)
                else:
                    client.create_automation(automation)
            except httpx.HTTPStatusError as problem:
                status = problem.response.status_code
                reason = f"the server takes it for no automation (status {status})"
                raise NotInstalled(f"{path}: {reason}; compare it with the shipped ones") from None
            yield f"{automation.name}: {'updated' if known else 'created'}"


def _files_of(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES)
            if not found:
                raise NotInstalled(f"{path}: there is no file that ends in .yaml")
            yield from found
        else:
            yield path


def _automation(path: Path, client: SyncPrefectClient) -> AutomationCore:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as problem:
        raise NotInstalled(f"{path}: {problem.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise NotInstalled(f"{path}: it is no YAML") from None
    if not isinstance(content, dict) or not isinstance(content.get("actions"), list):
        raise NotInstalled(f"{path}: it is no automation: it has no actions")
    for action in content["actions"]:
        if isinstance(action, dict):
            _resolve(action, "deployment", "deployment_id", _deployment_of(client), path)
            _resolve(action, "block", "block_document_id", _block_of(client), path)
    try:
        return AutomationCore.model_validate(content)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise NotInstalled(f"{path}: it is no automation: {place}: {first['msg']}") from None


def _resolve(
    action: dict[str, Any],
    name: str,
    identity: str,
    find: Callable[[str], Any],
    path: Path,
) -> None:
    """Put an id in the place of a name."""
    given = action.pop(name, None)
    if given is None:
        return
    if not isinstance(given, str) or given.count("/") != 1:
        raise NotInstalled(f"{path}: {name}: {given!a} is no name with one slash")
    try:
        action[identity] = str(find(given).id)
    except ObjectNotFound:
        what = "prefect deploy" if name == "deployment" else "create it in Prefect's UI"
        raise NotInstalled(
            f"{path}: there is no {name} {given!a}; {what}, then try again"
        ) from None


def _deployment_of(client: SyncPrefectClient) -> Callable[[str], Any]:
    return client.read_deployment_by_name


def _block_of(client: SyncPrefectClient) -> Callable[[str], Any]:
    def find(name: str) -> Any:
        kind, _, document = name.partition("/")
        return client.read_block_document_by_name(document, kind)

    return find


def main(arguments: Sequence[str] | None = None) -> int:
    """Install automations, and say which.

    Args:
        arguments: The command line; that of the process by default.

    Returns:
        The exit status: 2 if one could not be installed.
    """
    parser = argparse.ArgumentParser(prog="python -m prefect_mutagen.flows.automations")
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE", help="a file or a folder")
    options = parser.parse_args(arguments)
    try:
        for line in install(options.paths):
            sys.stdout.write(f"{line}\n")
    except NotInstalled as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    except httpx.HTTPError as problem:
        sys.stderr.write(f"the server cannot be reached: {type(problem).__name__}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
