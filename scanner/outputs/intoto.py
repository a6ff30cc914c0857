"""``intoto``: an unsigned in-toto Statement that binds a CycloneDX BOM to model files by SHA-256.

A subject needs a SHA-256 that was computed here or proven by the storage: one that a file beside
the model states may be that of another model. Artifacts without one are neither subjects nor in the
BOM. A set is included when each of its files has one; its files are the subjects. Signing is left
to whoever holds the key.

The BOM is streamed; the subjects are spooled to disk and written after it.

Source: the in-toto attestation framework, Statement v1
(https://github.com/in-toto/attestation/tree/main/spec/v1).
"""

from collections.abc import Iterable, Iterator
from itertools import chain, count
from typing import Final, TextIO

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.addresses import file_name
from prefect_mutagen.scanner.outputs.cyclonedx import Component, make_component, write_bom
from prefect_mutagen.scanner.outputs.later import Later
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.rendering import render_each
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.sbom.json_text import to_json
from prefect_mutagen.scanner.storage.names import original_address, storable_name

__all__ = ["write_intoto"]

_HEAD: Final = {
    "_type": "https://in-toto.io/Statement/v1",
    "predicateType": "https://cyclonedx.org/bom",
}


def write_intoto(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,
) -> None:
    """Write the statement; see `scanner.outputs.Writer`.

    Raises:
        ValueError: No artifact has a proven SHA-256. Nothing is written.
    """
    with Later() as subjects:
        attested = _attested(results, scan, summary, subjects)
        first = next(attested, None)
        if first is None:
            raise ValueError(
                "no SHA-256 was computed here or proven by the storage, so there is nothing to "
                "attest; scan with --hash full"
            )
        out.write(to_json(_HEAD)[:-1] + ',\n"predicate":')
        write_bom(chain((first,), attested), scan, out, options.cyclonedx_version)
        out.write(',\n"subject":')
        subjects.write_list(out)
        out.write("}\n")


def _attested(
    results: Iterable[ScanResult], scan: ScanInfo, summary: Summary, subjects: Later
) -> Iterator[Component]:
    """Yield the components of artifacts with proven SHA-256 values; spool their subjects."""
    attested = count(1)

    def make(result: ScanResult, _: int) -> tuple[list[str], Component | None]:
        digests = _digests(result)
        if not digests or not all(sha256 for _, sha256 in digests):
            return [], None
        named = [
            to_json({"name": _name(url, scan.source), "digest": {"sha256": sha256}})
            for url, sha256 in digests
        ]
        return named, make_component(scan, result, next(attested))

    for named, component in render_each(results, summary, make):
        for subject in named:
            subjects.add(subject)
        if component is not None:
            yield component


def _digests(result: ScanResult) -> list[tuple[str, str]]:
    if result.kind == "file":
        return [(result.url, result.sbom.sha256)]
    return [(item.url, item.sbom.sha256) for item in result.objects if item.sbom is not None]


def _name(url: str, source: str) -> str:
    """Return a file's path relative to the scanned root."""
    if url == source:
        return file_name(url)
    path, root = original_address(url), original_address(source).rstrip("/") + "/"
    return storable_name(path.removeprefix(root)) if path.startswith(root) else url
