"""Load storage options from JSON, a JSON file, or the environment."""

import json
import os
from collections.abc import Mapping
from typing import Any, Final

from prefect_mutagen.scanner.storage.local import storage_error

__all__ = ["OPTIONS_VARIABLE", "load_options", "refuse_unprintable"]

OPTIONS_VARIABLE: Final = "PREFECT_MUTAGEN_STORAGE_OPTIONS"
"""Environment variable with the default storage options."""
_CREDENTIALS: Final = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    *("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"),
)
"""Variables that the engines of storage read."""
_NAMES: Final = (
    *("key", "secret", "token", "username", "password", "endpoint_url", "region_name"),
    *("account_name", "account_key", "sas_token", "client_id", "client_secret", "tenant_id"),
)
"""Options of buckets that become parts of requests; others may hold a PEM text."""
_EXAMPLE: Final = '{"anon": true}'


def load_options(text: str = "") -> dict[str, Any]:
    """Read storage options: JSON, ``@FILE`` with JSON in it, or the environment's.

    Args:
        text: The options; if empty, PREFECT_MUTAGEN_STORAGE_OPTIONS is read the same way.

    Raises:
        ValueError: It is not a JSON object, or the file cannot be read. The message gives the
            position; the text itself, which may contain secrets, is not quoted.
    """
    source = "the storage options" if text else OPTIONS_VARIABLE
    given = text or os.environ.get(OPTIONS_VARIABLE, "")
    if not given:
        return {}
    if given.startswith("@"):
        source, given = f"the storage options in {given[1:]}", _read_file(given[1:], source)
    try:
        options = json.loads(given)
    except json.JSONDecodeError as problem:
        place = f"line {problem.lineno}, column {problem.colno}"
        message = f"{problem.msg[:1].lower()}{problem.msg[1:]}"
        raise ValueError(f"{source} are not JSON: {message} at {place}") from None
    except RecursionError:
        raise ValueError(f"{source} are nested too deeply") from None
    if not isinstance(options, dict):
        raise ValueError(f"{source} are not a JSON object such as {_EXAMPLE}")  # noqa: TRY004
    return options


def refuse_unprintable(options: Mapping[str, Any]) -> None:
    """Refuse options and variables with line breaks or other control characters.

    They come from files and pipes that end in a line break. No header of a request can carry them;
    engines answer with a panic, or repeat the value.

    Raises:
        ValueError: There is one; the message names it without its value.
    """
    for name in _CREDENTIALS:
        if _is_unprintable(os.environ.get(name, "")):
            raise ValueError(
                f"{name} contains a line break or another control character: remove it"
            )
    inner = options.get("client_kwargs")
    given = {**(inner if isinstance(inner, Mapping) else {}), **options}
    for name in _NAMES:
        value = given.get(name)
        if isinstance(value, str) and _is_unprintable(value):
            raise ValueError(
                f"the storage option {name} contains a line break or another control "
                "character: remove it"
            )


def _is_unprintable(value: str) -> bool:
    return any(letter < " " or letter == "\x7f" for letter in value)


def _read_file(path: str, source: str) -> str:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            return file.read()
    except OSError as problem:
        reason = storage_error(problem, path).reason
        raise ValueError(f"{source} are to be read from {path or '@'}: {reason}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{source} in {path} are not UTF-8 text") from None
