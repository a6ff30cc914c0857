"""The licences of the models that one was made from, as far as anybody states them.

GGUF names its base models under ``general.base_model.*`` and has no key for their licences; some
writers add one. Where none does, a policy may say what it knows: `BaseLicense`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from prefect_mutagen.scanner.content.licenses import NOASSERTION, spdx_expression
from prefect_mutagen.scanner.policy.fields import BaseLicense
from prefect_mutagen.scanner.verdicts import Subject

__all__ = ["base_licenses_of"]

_REPOSITORY: Final = re.compile(r"https?://[^/]+/([^/?#]+/[^/?#]+)")


def base_licenses_of(subject: Subject, known: Iterable[BaseLicense]) -> Iterator[tuple[str, str]]:
    """List the licences of an artifact's base models.

    Args:
        subject: The artifact.
        known: What the policy says about base models.

    Yields:
        Name of a base model and its licence as an SPDX expression, each pair once; a base model
        whose licence nobody states is left out.
    """
    seen: set[tuple[str, str]] = set()
    for names, stated in _bases(subject):
        licences = [stated] if stated else []
        licences += [
            entry.license
            for entry in known
            if any(fnmatchcase(name.lower(), entry.model.strip().lower()) for name in names)
        ]
        for licence in licences:
            pair = (names[0], spdx_expression(licence))
            if pair[1] != NOASSERTION and pair not in seen:
                seen.add(pair)
                yield pair


def _bases(subject: Subject) -> Iterator[tuple[list[str], str]]:
    """Give each base model's names, and its licence where the file states it."""
    if subject.base_model:
        yield _names(subject.base_model, {}), ""
    for entry in subject.facts.get("base_models") or ():
        if not isinstance(entry, Mapping):
            continue
        names = _names("", entry)
        licence = entry.get("license")
        if names:
            yield names, licence if isinstance(licence, str) else ""


def _names(name: str, entry: Mapping[str, Any]) -> list[str]:
    """Write a base model's name in every way that a policy may name it, owner/name first."""
    title = name or str(entry.get("name") or "")
    address = str(entry.get("repo_url") or "") or title
    found = []
    repository = _REPOSITORY.match(address)
    if repository:
        found.append(repository[1])
    if title and not _REPOSITORY.match(title):
        organization = str(entry.get("organization") or "")
        if organization:
            found.append(f"{organization}/{title}".replace(" ", "-"))
        found.append(title)
    return found
