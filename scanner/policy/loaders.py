"""Limit a judgement to the loaders in use: what only others take does not decide.

A loader takes an artifact's weights, and besides what its load plan names. The pin covers the files
of all plans whatever the policy says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.verdicts import Subject

__all__ = ["for_loaders"]

_OF_A_LOADER: Final = "loads."
"""Start of the field of a finding about one loader, whose name follows."""
_ABOUT_FILES: Final = ("template/", "code/", "sbom/neighbour-", "sbom/unexamined")
"""Codes of findings about a file that is loaded with the weights."""
_ABOUT_WEIGHTS: Final = frozenset(
    {"set/ambiguous-weights", "set/variant-beside", "set/pickle-beside"}
)
"""Codes of findings about weights that could be loaded instead."""


def for_loaders(subject: Subject, loaders: Sequence[str]) -> Subject:
    """Return what counts of a subject where only some loaders are in use.

    Where none of them takes the artifact's weights, everything counts: nothing is known about what
    loads them.

    Args:
        subject: The subject.
        loaders: Names of the loaders.
    """
    plans = {name: files for name, files in subject.loads.items() if name in loaders}
    if not plans:
        return subject
    taken = frozenset(path for files in plans.values() for path in files)
    own = frozenset(subject.files)
    exact = all(_takes_only(files, own) for files in plans.values())

    def counts(finding: Finding) -> bool:
        if finding.field.startswith(_OF_A_LOADER):
            return finding.field.removeprefix(_OF_A_LOADER) in plans
        if finding.code in _ABOUT_WEIGHTS:
            return not exact
        if finding.code.startswith(_ABOUT_FILES) and finding.url not in own:
            return not finding.url or _is_among(finding.url, taken)
        return True

    facts = dict(subject.facts)
    for name, key in (("code", "path"), ("code_elsewhere", "place")):
        if name in facts:
            facts[name] = list(_taken(facts[name], key, taken))
    findings = tuple(finding for finding in subject.findings if counts(finding))
    return replace(subject, findings=findings, facts=facts)


def _takes_only(files: Sequence[str], own: frozenset[str]) -> bool:
    """Whether a plan takes no other weights than the artifact's."""
    weights = [path for path in files if role_of(path.rpartition("/")[2]) in ("weights", "pickle")]
    return all(any(url.endswith(f"/{path}") for url in own) for path in weights)


def _is_among(url: str, paths: Iterable[str]) -> bool:
    return any(url.endswith(f"/{path}") for path in paths)


def _taken(
    entries: Iterable[Mapping[str, Any]], key: str, taken: frozenset[str]
) -> Iterable[Mapping[str, Any]]:
    """Yield the entries about files that are taken."""
    return (entry for entry in entries if str(entry.get(key, "")).partition(":")[0] in taken)
