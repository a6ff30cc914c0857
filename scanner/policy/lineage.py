"""The licences of an artifact's base models, as far as they are known.

GGUF names base models under ``general.base_model.*`` but defines no key for their licences; some
writers add one. Where it is missing, a policy can state the licence: `BaseLicense`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from prefect_mutagen.scanner.content.folding import fold
from prefect_mutagen.scanner.content.license_expressions import NOASSERTION
from prefect_mutagen.scanner.content.licenses import spdx_expression
from prefect_mutagen.scanner.content.lineage import repository_of
from prefect_mutagen.scanner.policy.fields import BaseLicense
from prefect_mutagen.scanner.verdicts import Subject

__all__ = ["base_licenses_of"]

_SPACES: Final = re.compile(r"[\s_]+")


def base_licenses_of(subject: Subject, known: Iterable[BaseLicense]) -> Iterator[tuple[str, str]]:
    """Yield the licences of an artifact's base models.

    Args:
        subject: The artifact.
        known: The policy's entries for base models.

    Yields:
        The name of a base model and its licence as an SPDX expression, each pair once. Base models
        without a known licence are omitted.
    """
    seen: set[tuple[str, str]] = set()
    for names, stated in _bases(subject):
        licences = [stated] if stated else []
        licences += [entry.license for entry in known if _matches(names, entry.model)]
        for licence in licences:
            pair = (names[0], spdx_expression(licence))
            if pair[1] != NOASSERTION and pair not in seen:
                seen.add(pair)
                yield pair


def _bases(subject: Subject) -> Iterator[tuple[list[str], str]]:
    """Yield the names of each base model, and its licence where the file states it."""
    if subject.base_model:
        yield _names(subject.base_model, {}), ""
    for entry in subject.facts.get("base_models") or ():
        if not isinstance(entry, Mapping):
            continue
        names = _names("", entry)
        licence = entry.get("license")
        if names:
            yield names, licence if isinstance(licence, str) else ""


def _matches(names: Iterable[str], pattern: str) -> bool:
    """Whether one of a base model's names is that of an entry, in any case and spelling."""
    # An entry may be an address; a wildcard is no character of a repository's name.
    repository = repository_of(pattern.replace("*", "0any0").replace("?", "0one0"))
    repository = repository.replace("0any0", "*").replace("0one0", "?")
    patterns = {_spelled(pattern), _spelled(repository)} - {""}
    return any(fnmatchcase(_spelled(name), each) for name in names for each in patterns)


def _spelled(name: str) -> str:
    return _SPACES.sub("-", fold(name).strip())


def _names(name: str, entry: Mapping[str, Any]) -> list[str]:
    """Return every spelling of a base model's name that a policy may use, owner/name first."""
    title = name or str(entry.get("name") or "")
    found = []
    for address in (entry.get("repo_url"), entry.get("url"), title):
        repository = repository_of(address) if isinstance(address, str) else ""
        if repository:
            found.append(repository)
    if title:
        organization = str(entry.get("organization") or "")
        if organization:
            found.append(f"{organization}/{title}".replace(" ", "-"))
        found.append(title)
    return list(dict.fromkeys(found))
