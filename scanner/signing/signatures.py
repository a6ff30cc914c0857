"""Parse signatures and attestations beside a model: the files they name, with their digests.

Supported are OpenSSF Model Signing (``model.sig``: a sigstore bundle around an in-toto statement),
in-toto attestations (DSSE envelopes, alone or one per line) and sigstore bundles for one file.
Nothing is verified here; `scanner.signing.check` does that. Without verification, whoever can write
the model can write these files too; a digest that differs from the known one is still a reason to
refuse the model.

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
    "read_statements",
    "split",
]

SIGNATURE_LIMIT: Final = 4 << 20
"""Most bytes read of one file; a file of this size or more is not parsed."""

_LINES: Final = 1000
_VALUES: Final = 200_000
"""Most values of a document; a manifest of 4 MiB has half as many."""
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
    """The content of one signature file, unverified."""

    name: str
    kind: Kind = "in-toto"
    digests: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    """Expected SHA-256 values in hexadecimal by file name, any one of which may match. The set is
    empty where only other algorithms are used; a subject without a name has the empty one."""
    predicates: tuple[str, ...] = ()
    """Predicate types of its statements."""
    signed: bool = False
    """Whether every statement carries a signature, valid or not."""
    whole: bool = False
    """Whether it covers a whole folder, so that a file it does not name was added later."""
    exempt: frozenset[str] = frozenset()
    """Files that it explicitly ignores."""
    problem: str = ""
    """Why it cannot be read; empty when it can. If set, no digests are named."""


class _Unreadable(ValueError):  # noqa: N818 - raised and caught here; the text is what counts
    """The file breaks a rule of its format; the text names the rule, as a clause."""


@dataclass(slots=True)
class _Collected:
    kind: Kind
    digests: dict[str, set[str]] = field(default_factory=dict)
    predicates: list[str] = field(default_factory=list)
    signed: bool = True
    whole: bool = False
    exempt: set[str] = field(default_factory=set)

    def add(self, name: str, digest: object) -> None:
        """Add a file, with its SHA-256 if there is one.

        Raises:
            _Unreadable: The digest is not a SHA-256.
        """
        values = self.digests.setdefault(name.removeprefix("./"), set())
        if isinstance(digest, str):
            if not _SHA256.fullmatch(digest):
                raise _Unreadable(f"the SHA-256 of {shown(name)} is not 64 hexadecimal digits")
            values.add(digest.lower())


def read_signature(name: str, raw: bytes) -> Signature:
    """Read a signature or an attestation; never raises, whatever the input.

    Args:
        name: The file's name, which determines the format, and which file a bare signature is for.
        raw: Its bytes. With `SIGNATURE_LIMIT` bytes or more it is unreadable.

    Returns:
        The digests it names, or why it cannot be read.
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


def read_statements(name: str, raw: bytes) -> tuple[Signature, ...]:
    """Read each statement of a signature file by itself; never raises, whatever the input.

    Args:
        name: The file's name.
        raw: Its bytes.

    Returns:
        The statements in order; none if the file cannot be split.
    """
    try:
        texts = split(name, raw)
    except _Unreadable:
        return ()  # `read_signature` reports the reason
    return tuple(read_signature(name, text) for text in texts)


def split(name: str, raw: bytes) -> list[bytes]:
    """Split a signature file into documents: the lines of a ``.jsonl`` file, else all of it.

    Args:
        name: The file's name.
        raw: Its bytes.

    Raises:
        ValueError: The file is empty, too large, or has too many lines.
    """
    if len(raw) >= SIGNATURE_LIMIT:
        raise _Unreadable(f"it exceeds the limit of {SIGNATURE_LIMIT} bytes")
    if not name.endswith(".jsonl"):
        return [raw]
    lines = [line for line in raw.split(b"\n") if line.strip()]
    if not lines:
        raise _Unreadable("it is empty")
    if len(lines) > _LINES:
        raise _Unreadable(f"it has more than {_LINES} lines")
    return lines


def _load(raw: bytes) -> dict[str, Any]:
    if sum(map(raw.count, (b"{", b"[", b","))) > _VALUES:
        raise _Unreadable(f"it exceeds the limit of {_VALUES:,} values")
    loaded = load_json(raw)
    if loaded.problem:
        raise _Unreadable(loaded.problem)
    if loaded.duplicate:
        # JSON parsers disagree about which of the two counts.
        raise _Unreadable(f"the key {shown(loaded.duplicate)} is duplicated")
    return loaded.values


def _read_document(document: Mapping[str, Any], name: str, found: _Collected) -> None:
    """Read a sigstore bundle, a DSSE envelope, or a bare statement."""
    if sum(key in document for key in _FORMS) > 1:
        # This reader could take the one and a verifier the other.
        raise _Unreadable("it is more than one of a bundle, an envelope and a statement")
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
        raise _Unreadable("it is not a sigstore bundle, DSSE envelope or in-toto statement")


def _read_envelope(envelope: Mapping[str, Any], found: _Collected) -> None:
    if envelope.get("payloadType") != _PAYLOAD:
        raise _Unreadable(f"its payload type is not {_PAYLOAD}")
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
        raise _Unreadable("its payload is not an in-toto statement")
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
    """Read the signed files of an OMS manifest; its subject is the digest over their digests."""
    if len(subjects) != 1:
        raise _Unreadable("it does not have exactly one subject")
    model = str(subjects[0].get("name") or "")
    total = hashlib.sha256()
    digests: dict[str, str] = {}
    for resource in _mappings(predicate, "resources"):
        title, digest = resource.get("name"), resource.get("digest")
        if not isinstance(title, str) or not isinstance(digest, str):
            raise _Unreadable("a resource has no name or no digest")
        try:
            total.update(bytes.fromhex(digest))
        except ValueError:
            raise _Unreadable(f"the digest of {shown(title)} is not hexadecimal") from None
        if digests.setdefault(title, digest) != digest:
            raise _Unreadable(f"it states two digests of {shown(title)}")
        found.whole = found.whole or title != "."
        # A single-file model is signed as ".", and the subject has its name.
        target = model if title == "." else title
        file = _PART.sub("", target)
        is_sha256 = resource.get("algorithm") == "sha256" and file == target
        found.add(file, digest if is_sha256 else None)
    if _mapping(subjects[0], "digest").get("sha256") != total.hexdigest():
        raise _Unreadable("the digest of its subject does not match those of its resources")
    serialization = predicate.get("serialization")
    ignored = serialization.get("ignore_paths") if isinstance(serialization, dict) else None
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
    """Decode Base64 of either alphabet, with or without padding, as protobuf's JSON mapping allows.

    Args:
        text: A value from JSON.

    Returns:
        The bytes; None if the value is not Base64.
    """
    if not isinstance(text, str):
        return None
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
