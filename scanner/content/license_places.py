"""Decide which files of a model speak for the licence of which weights.

A card or a licence file counts for all weights below it, unless one in a folder nearer to them
tells another licence. Of configurations, the nearest of each name counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect_mutagen.scanner.content.license_files import LICENSE_LIMIT, is_license_file
from prefect_mutagen.scanner.content.license_statements import (
    LicenseStatement,
    license_in_text,
    licenses_in,
    tells_license,
)

__all__ = ["licenses_beside"]


def licenses_beside(
    folders: Sequence[str],
    cards: Mapping[str, Mapping[str, Any]],
    documents: Mapping[str, Mapping[str, Any]],
    contents: Mapping[str, tuple[str, bytes]],
) -> tuple[tuple[LicenseStatement, ...], tuple[LicenseStatement, ...]]:
    """Return what the files of a model state about the licence of some of its weights.

    Args:
        folders: The folder of the weights and those above it, each with a trailing slash.
        cards: Front matter by path.
        documents: Configurations that hold for the weights, by path.
        contents: Address and content of all files, by path.

    Returns:
        The statements of cards, and those of configurations and licence files.
    """
    by_card: list[LicenseStatement] = []
    by_text: list[LicenseStatement] = []
    texts = [path for path in contents if is_license_file(path.rpartition("/")[2])]
    for folder in folders:
        for path, values in cards.items():
            if _folder_of(path) == folder:
                by_card += licenses_in(values, f"{path}:", contents[path][0])
                tagged = licenses_in({"license": _tagged(values)}, "", contents[path][0])
                by_card += (one._replace(source=f"{path}:tags") for one in tagged)
        for path in texts:
            if _folder_of(path) == folder:
                url, raw = contents[path]
                by_text += license_in_text(path, raw, url, is_cut=len(raw) >= LICENSE_LIMIT)
        if any(map(tells_license, (*by_card, *by_text))):
            break
    by_config = [
        one
        for path, values in documents.items()
        for one in licenses_in(values, f"{path}:", contents[path][0])
    ]
    return tuple(by_card), (*by_config, *by_text)


def _tagged(card: Mapping[str, Any]) -> list[str]:
    """Return the licences among the tags of a card, such as ``license:mit``."""
    tags = card.get("tags")
    tags = tags if isinstance(tags, list) else [tags]
    parts = [tag.partition(":") for tag in tags if isinstance(tag, str)]
    return [value for kind, _, value in parts if kind.strip().lower() == "license"]


def _folder_of(path: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return folder + slash
