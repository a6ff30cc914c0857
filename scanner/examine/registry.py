"""Read what the models of an Ollama store have besides their weights: templates, licences, texts.

A Go template (``text/template``) is named by its SHA-256 and not judged as Jinja: it can call
nothing but what Ollama hands to it. Whether Ollama renders it or the template of the GGUF file
depends on Ollama's settings and version, so facts list both, and `Policy.allowed_templates` asks
for both. Like the rest of an examination this does no I/O.
"""

import hashlib
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from prefect_mutagen.scanner.content.facts import plain_text
from prefect_mutagen.scanner.content.licenses import NOASSERTION, spdx_expression
from prefect_mutagen.scanner.content.ollama import CONFIG, blob_digest
from prefect_mutagen.scanner.content.safe_load import load_json
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.listing.artifacts import RegistryModel
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Read, Request, read
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["LicenseText", "RegistryTexts", "add_registry", "load_registry"]

_LIMIT: Final = 1 << 20
"""Most bytes that are read of a text."""
_TEMPLATES: Final = ("template", "prompt")
_CONFIG_KEYS: Final = ("model_format", "model_family", "model_type", "file_type")
# With one of these, Ollama's own code formats messages instead of a template.
_FORMATTERS: Final = ("renderer", "parser")
_TITLE_LENGTH: Final = 200
_TITLE: Final = re.compile(r".{0,60}\blicen[cs]e\b.{0,60}", re.IGNORECASE)
_UNLISTED: Final = "LicenseRef-"
_MOST_BLOBS: Final = 1000
"""Texts that are read for one artifact; a blob may serve many models."""


@dataclass(frozen=True, slots=True)
class LicenseText:
    """The text of a licence layer."""

    text: str
    url: str
    model: str
    """Name of a model that it belongs to."""


@dataclass(frozen=True, slots=True)
class RegistryTexts:
    """What the manifests of an artifact's models state besides its weights."""

    models: tuple[dict[str, Any], ...] = ()
    """Facts by model."""
    templates: tuple[dict[str, Any], ...] = ()
    """Place, length and SHA-256 of each Go template."""
    licenses: tuple[LicenseText, ...] = ()
    """Each licence text once."""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Text:
    """A blob that is not weights, as far as it was read."""

    raw: bytes | None = None
    sha256: str = ""
    findings: tuple[Finding, ...] = ()


def load_registry(
    models: Sequence[RegistryModel], objects: Sequence[StoredObject]
) -> Generator[Request, Any, RegistryTexts]:
    """Read the texts of an artifact's models, each blob once.

    Args:
        models: The models.
        objects: The artifact's own files, as they were read.

    Returns:
        Facts and findings; an unreadable text is a finding, never raised.
    """
    read_before: dict[str, _Text] = {}
    entries, templates = list[dict[str, Any]](), list[dict[str, Any]]()
    licenses: dict[str, LicenseText] = {}
    findings: list[Finding] = []
    for model in models:
        findings += _check_size(model, objects)
        entry: dict[str, Any] = {"name": model.name, "as": model.kind, "url": model.manifest.url}
        for kind, item in model.texts:
            if kind == "json":  # a tokenizer may have many megabytes
                entry.setdefault(kind, []).append({"length": item.size})
                findings += _missing(item)
                continue
            if item.url not in read_before and len(read_before) >= _MOST_BLOBS:
                continue
            if item.url not in read_before:
                read_before[item.url] = yield from _read_text(item)
                findings += read_before[item.url].findings
            text = read_before[item.url]
            if kind == CONFIG:
                entry |= _config(text.raw)
                continue
            stated = {"length": item.size, "sha256": text.sha256 or None}
            if kind == "license":
                entry.setdefault("licenses", []).append(stated)
                if text.raw is not None:
                    decoded = text.raw.decode("utf-8", "replace")
                    licenses.setdefault(item.url, LicenseText(decoded, item.url, model.name))
            else:
                entry[kind] = stated
            if kind in _TEMPLATES:
                templates.append({"place": f"{kind} of {model.name}", **stated})
        entries.append(entry)
    return RegistryTexts(
        tuple(entries), tuple(templates), tuple(licenses.values()), tuple(findings)
    )


def add_registry(result: ScanResult, texts: RegistryTexts) -> ScanResult:
    """Return a result with the facts and findings of its registry; the verdict is added later.

    Licence layers apply beside what the file states; of a text that is long, its title counts.
    """
    if not texts.models:
        return result
    facts = dict(result.facts) | {"registry": list(texts.models)}
    if texts.templates:
        facts["chat_templates"] = [*facts.get("chat_templates", ()), *texts.templates]
    findings = tuple(dict.fromkeys((*result.findings, *texts.findings)))
    result = replace(result, facts=facts, findings=findings)
    return _add_licenses(result, texts)


def _add_licenses(result: ScanResult, texts: RegistryTexts) -> ScanResult:
    """Add what the licence layers say: all of it applies, beside what the file itself states."""
    found = [expression for one in texts.licenses if (expression := _license_of(one.text))]
    stated = result.license_spdx
    if stated not in (None, NOASSERTION):
        # A title that SPDX does not list may be another name of what the file states.
        found = [stated, *(one for one in found if not one.startswith(_UNLISTED))]
    names = list(dict.fromkeys(found))
    if not names or names == [stated]:
        return result
    expression = names[0]
    if len(names) > 1:
        expression = spdx_expression(" AND ".join(f"({name})" for name in names))
    if stated is not None:
        return replace(result, license_spdx=expression)
    source = f"licence layers of {texts.licenses[0].model}"
    return replace(
        result,
        license_spdx=expression,
        sbom=replace(result.sbom, license=expression),
        sources={**result.sources, "license": source},
    )


def _check_size(model: RegistryModel, objects: Sequence[StoredObject]) -> list[Finding]:
    if len(objects) != 1 or model.size < 0 or objects[0].fault is not None:
        return []
    item = objects[0]
    if item.size in (model.size, -1):
        return []
    message = f"it has {item.size} bytes; the manifest of {model.name} states {model.size}"
    return [make_finding("set/layer-size", message, url=item.url, field=model.kind)]


def _read_text(item: StoredObject) -> Generator[Request, Any, _Text]:
    if not item.size and item.fault is None:
        return _Text(b"", hashlib.sha256().hexdigest())
    try:
        if item.fault is not None:
            raise item.fault
        if item.size > _LIMIT:
            message = f"the text has {item.size} bytes; {_LIMIT} are read of one"
            unread = make_finding("sbom/neighbour-unread", message, url=item.url, field=item.name)
            return _Text(findings=(unread,))
        reply = yield from read(Read(item, 0, item.size if item.size > 0 else _LIMIT, shared=True))
    except StorageError as problem:
        return _Text(findings=(_unread(item, problem),))
    digest = hashlib.sha256(reply.data).hexdigest()
    named = blob_digest(item.name)
    if named == digest or len(reply.data) < reply.size:
        return _Text(reply.data, digest)
    message = f"the SHA-256 values disagree: name of the store's blob: {named}; computed: {digest}"
    mismatch = make_finding("sbom/hash-mismatch", message, url=item.url, field="sha256")
    return _Text(reply.data, digest, (mismatch,))


def _missing(item: StoredObject) -> list[Finding]:
    return [] if item.fault is None else [_unread(item, item.fault)]


def _unread(item: StoredObject, problem: StorageError) -> Finding:
    if problem.code.startswith("set/"):
        return make_finding(problem.code, str(problem), url=item.url, field=item.name)
    return make_finding("sbom/neighbour-unread", problem.reason, url=item.url, field=item.name)


def _config(raw: bytes | None) -> dict[str, str]:
    values = load_json(raw or b"{}").values
    texts = {key: plain_text(values.get(key)) for key in (*_CONFIG_KEYS, *_FORMATTERS)}
    return {key: text for key, text in texts.items() if text}


def _license_of(text: str) -> str:
    """Return the licence whose title the first lines of a text are; empty for other texts."""
    lines = [line.strip() for line in text[:_TITLE_LENGTH].splitlines() if line.strip()]
    titles = [*lines[:1], " ".join(lines[:2]).partition(", ")[0]]
    expressions = [spdx_expression(title) for title in titles]
    for expression in expressions:
        if expression != NOASSERTION and not expression.startswith(_UNLISTED):
            return expression
    return expressions[0] if _TITLE.fullmatch(titles[0]) else ""
