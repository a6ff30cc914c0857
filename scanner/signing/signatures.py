"""Signatures and attestations that lie beside a model: which digests they name, and for what.

Read are the formats of OpenSSF Model Signing (``model.sig``: a sigstore bundle around an in-toto
statement), of in-toto attestations (DSSE envelopes, one per line or one alone) and of sigstore
bundles for one file. No signature is verified here; `scanner.signing.check` does
that. Whoever can write the model can write these files too. What they name is compared with what
is known, and a difference is a reason to refuse.

Formats: the OMS specification 1.0, the in-toto Attestation Framework 1.0, DSSE 1.0, and version 0.3
of the sigstore bundle.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from prefect_mutagen.parsers.errors import named, shown
from prefect_mutagen.scanner.content.safe_load import load_json
from prefect_mutagen.scanner.listing.roles import OMS_NAME, SIGNATURE_SUFFIXES

__all__ = [
    "SIGNATURE_LIMIT",
    "Signature",
    "decode",
    "read_signature",
    "split",
]

SIGNATURE_LIMIT: Final = 4 << 20
"""Bytes of one file that are read at most; one of this size or more is not looked into."""

_LINES: Final = 1000
_PREDICATES: Final = 8
_FORMS: Final = ("dsseEnvelope", "messageSignature", "payload", "_type")
_OMS: Final = "https://model_signing/signature/"
_STATEMENT: Final = "https://in-toto.io/Statement/"
_PAYLOAD: Final = "application/vnd.in-toto+json"
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_PART: Final = re.compile(r":\d+:\d+$")

Kind = Literal["oms", "in-toto", "sigstore"]


@dataclass(frozen=True, slots=True)
class Signature:
    """What one file beside a model names; nothing of it is verified."""

    name: str
    kind: Kind = "in-toto"
    digests: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    """For each file, SHA-256 values in hexadecimal, one of which it should have; none where only
    other digests are named. What stands without a name has the empty one."""
    predicates: tuple[str, ...] = ()
    """What kinds of statements it makes, as addresses."""
    signed: bool = False
    """Whether every statement in it carries a signature, good or bad."""
    whole: bool = False
    """Whether it speaks of all files of a folder, so that what it does not name came later."""
    exempt: frozenset[str] = frozenset()
    """Files that it leaves out, by its own word."""
    problem: str = ""
    """Why it cannot be read; empty when it can. Then it names nothing."""


class _Unreadable(ValueError):  # noqa: N818 - a clause, not an error's name
    """A rule of a format is broken; the text says which, in a clause."""


@dataclass(slots=True)
class _Collected:
    kind: Kind
    digests: dict[str, set[str]] = field(default_factory=dict)
    predicates: list[str] = field(default_factory=list)
    signed: bool = True
    whole: bool = False
    exempt: set[str] = field(default_factory=set)

    def add(self, name: str, digest: object) -> None:
        """Note a file, and its SHA-256 where the digest is one."""
        values = self.digests.setdefault(name.removeprefix("./"), set())
        if isinstance(digest, str):
            if not _SHA256.fullmatch(digest):
                raise _Unreadable(f"the SHA-256 of {shown(name)} is none")
            values.add(digest.lower())


def read_signature(name: str, raw: bytes) -> Signature:
    """Read a signature or an attestation.

    Args:
        name: The file's name: it says which format to expect, and which file a signature without
            a statement is for.
        raw: Its bytes; from `SIGNATURE_LIMIT` of them on it counts as unreadable.

    Returns:
        What it names, or why it cannot be read. Nothing is raised for any input.
    """
    found = _Collected("oms" if name == OMS_NAME else "in-toto")
    try:
        for text in split(name, raw):
            _read_document(_load(text), name, found)
    except _Unreadable as problem:
        return Signature(name, found.kind, problem=str(problem))
    digests = {target: frozenset(values) for target, values in found.digests.items()}
    predicates = tuple(dict.fromkeys(found.predicates))[:_PREDICATES]
    return Signature(
        name,
        found.kind,
        MappingProxyType(digests),
        predicates,
        found.signed,
        found.whole,
        frozenset(found.exempt),
    )


def split(name: str, raw: bytes) -> list[bytes]:
    """Give the texts of a file that `read_signature` reads: its lines, or all of it.

    Args:
        name: The file's name.
        raw: Its bytes.

    Raises:
        ValueError: There is nothing in it, or too much.
    """
    if len(raw) >= SIGNATURE_LIMIT:
        raise _Unreadable(f"it has more than the {SIGNATURE_LIMIT} bytes that are read")
    if not name.endswith(".jsonl"):
        return [raw]
    lines = [line for line in raw.split(b"\n") if line.strip()]
    if not lines:
        raise _Unreadable("it is empty")
    if len(lines) > _LINES:
        raise _Unreadable(f"it has more than {_LINES} lines")
    return lines


def _load(raw: bytes) -> dict[str, Any]:
    loaded = load_json(raw)
    if loaded.problem:
        raise _Unreadable(loaded.problem)
    if loaded.duplicate:
        # Another reader may take the other one.
        raise _Unreadable(f"the key {shown(loaded.duplicate)} stands twice")
    return loaded.values


def _read_document(document: Mapping[str, Any], name: str, found: _Collected) -> None:
    """Read a sigstore bundle, a DSSE envelope, or a bare statement."""
    if sum(key in document for key in _FORMS) > 1:
        # A reader may take the one, and a verifier the other.
        raise _Unreadable("it is several of a bundle, an envelope and a statement at once")
    if "dsseEnvelope" in document:
        _read_envelope(_mapping(document, "dsseEnvelope"), found)
    elif "messageSignature" in document:
        found.kind = "sigstore"
        _read_message(_mapping(document, "messageSignature"), name, found)
    elif "payload" in document:
        _read_envelope(document, found)
    elif "_type" in document:
        found.signed = False
        _read_statement(document, found)
    else:
        raise _Unreadable("it is no sigstore bundle, no DSSE envelope and no in-toto statement")


def _read_envelope(envelope: Mapping[str, Any], found: _Collected) -> None:
    if envelope.get("payloadType") != _PAYLOAD:
        raise _Unreadable(f"its payload is not of the type {_PAYLOAD}")
    signatures = envelope.get("signatures")
    found.signed = found.signed and (
        isinstance(signatures, list)
        and bool(signatures)
        and all(isinstance(entry, dict) and bool(entry.get("sig")) for entry in signatures)
    )
    _read_statement(_load(_decode(envelope.get("payload"), "payload")), found)


def _read_message(message: Mapping[str, Any], name: str, found: _Collected) -> None:
    digest = _mapping(message, "messageDigest")
    found.signed = found.signed and bool(message.get("signature"))
    target = name
    for suffix in SIGNATURE_SUFFIXES:
        target = target.removesuffix(suffix)
    is_sha256 = digest.get("algorithm") in ("SHA2_256", 1)
    found.add(target, _decode(digest.get("digest"), "digest").hex() if is_sha256 else None)


def _read_statement(statement: Mapping[str, Any], found: _Collected) -> None:
    if not str(statement.get("_type")).startswith(_STATEMENT):
        raise _Unreadable("its payload is no in-toto statement")
    predicate_type = statement.get("predicateType")
    if isinstance(predicate_type, str):
        found.predicates.append(named(predicate_type))
    subjects = _mappings(statement, "subject")
    if isinstance(predicate_type, str) and predicate_type.startswith(_OMS):
        found.kind = "oms"
        _read_resources(_mapping(statement, "predicate"), subjects, found)
        return
    for subject in subjects:
        title = subject.get("name")
        found.add(
            title if isinstance(title, str) else "", _mapping(subject, "digest").get("sha256")
        )


def _read_resources(
    predicate: Mapping[str, Any], subjects: list[dict[str, Any]], found: _Collected
) -> None:
    """Read the list of signed files of a model; its subject is a digest over all of theirs."""
    if len(subjects) != 1:
        raise _Unreadable("it has not one subject")
    model = str(subjects[0].get("name") or "")
    total = hashlib.sha256()
    for resource in _mappings(predicate, "resources"):
        title, digest = resource.get("name"), resource.get("digest")
        if not isinstance(title, str) or not isinstance(digest, str):
            raise _Unreadable("a resource has no name or no digest")
        try:
            total.update(bytes.fromhex(digest))
        except ValueError:
            raise _Unreadable(f"the digest of {shown(title)} is not hexadecimal") from None
        found.whole = found.whole or title != "."
        # A model that is one file is signed as ".", and named by the subject.
        target = model if title == "." else title
        whole = _PART.sub("", target)
        is_sha256 = resource.get("algorithm") == "sha256" and whole == target
        found.add(whole, digest if is_sha256 else None)
    if _mapping(subjects[0], "digest").get("sha256") != total.hexdigest():
        raise _Unreadable("its digests do not add up to the one of its subject")
    ways = predicate.get("serialization")
    ignored = ways.get("ignore_paths") if isinstance(ways, dict) else None
    if isinstance(ignored, list):
        found.exempt.update(path for path in ignored if isinstance(path, str))


def _mapping(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    if not isinstance(value, dict):
        raise _Unreadable(f"it has no {key}")
    return value


def _mappings(values: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = values.get(key)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _Unreadable(f"it has no list of {key}")
    return value


def _decode(text: object, what: str) -> bytes:
    if not isinstance(text, str):
        raise _Unreadable(f"it has no {what}")
    decoded = decode(text)
    if decoded is None:
        raise _Unreadable(f"its {what} is not Base64")
    return decoded


def decode(text: object) -> bytes | None:
    """Decode Base64 of either alphabet; padding may be left out, as protobuf's JSON allows.

    Args:
        text: What stands where Base64 should be.

    Returns:
        None for what is none.
    """
    if not isinstance(text, str):
        return None
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
