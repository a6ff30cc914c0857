"""Join what several files of one model state about its licence and its lineage."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prefect_mutagen.scanner.content.facts import Facts, Stated
from prefect_mutagen.scanner.content.license_statements import (
    LicenseStatement,
    find_conflict,
    license_facts,
    license_findings,
    model_license,
)
from prefect_mutagen.scanner.content.lineage import merge_lineage
from prefect_mutagen.scanner.findings import Finding

__all__ = ["add_licenses", "join_statements"]


def add_licenses(
    facts: Facts, details: dict[str, Any], statements: Sequence[LicenseStatement], url: str
) -> list[Finding]:
    """Add the licence and every statement about it; return findings about them.

    Args:
        facts: Facts of a file.
        details: Its facts beyond the SBOM's fields.
        statements: All statements about it, in their order of precedence.
        url: Its address, for findings.
    """
    if statements:
        source = statements[0].source
        facts["license"] = Stated(statements[0].value, source)
        facts["license_spdx"] = Stated(model_license(statements), source)
        details["licenses"] = license_facts(statements)
    return list(license_findings(statements, url))


def join_statements(
    facts: Facts, details: dict[str, Any], parts: Sequence[Mapping[str, Any]], url: str
) -> Iterator[Finding]:
    """Add what any part of a model states about licences and base models.

    Args:
        facts: Facts of the whole.
        details: Its facts beyond the SBOM's fields.
        parts: Such details of every part.
        url: Its address, for findings.

    Yields:
        A finding where two parts contradict each other, and neither does so by itself.
    """
    stated = [_statements(part) for part in parts]
    every = list(dict.fromkeys(one for statements in stated for one in statements))
    if every:
        facts.setdefault("license", Stated(every[0].value, every[0].source))
        facts["license_spdx"] = Stated(model_license(every), facts["license"].source)
        details["licenses"] = license_facts(every)
        conflict = find_conflict(every, url)
        if conflict is not None and not any(find_conflict(one, url) for one in stated):
            yield conflict
    base_models = merge_lineage(part.get("base_models") for part in parts)
    if base_models:
        details["base_models"] = base_models


def _statements(details: Mapping[str, Any]) -> list[LicenseStatement]:
    return [
        LicenseStatement(one["value"], one["spdx"], one["source"])
        for one in details.get("licenses") or ()
    ]
