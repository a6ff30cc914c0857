import json
from typing import Any

import pytest

from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.listing.roles import is_signature, signed_name
from prefect_mutagen.scanner.signing.coverage import ArtifactFiles
from prefect_mutagen.scanner.signing.digests import (
    Comparison,
    SignatureFile,
    compare,
    look_at_signatures,
)
from prefect_mutagen.scanner.signing.signatures import (
    SIGNATURE_LIMIT,
    Kind,
    Signature,
    read_signature,
    read_statements,
)
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.signing import attestation, bundle, envelope, message, oms, sha256

A, B = sha256(b"a"), sha256(b"b")
LINES = b"\n".join(
    [
        json.dumps(envelope(attestation({"a.gguf": A}))).encode(),
        b"",
        bundle(attestation({"a.gguf": B, "b.gguf": B})),
        b"",
    ]
)


@pytest.mark.parametrize(
    ("name", "known", "target"),
    [
        ("model.sig", True, ""),
        ("a.gguf.intoto.jsonl", True, "a.gguf"),
        ("A.GGUF.sigstore.json", True, "A.GGUF"),
        ("b.safetensors.intoto.json", True, "b.safetensors"),
        ("provenance.intoto.jsonl", True, ""),
        ("a.gguf.sig", False, ""),
        ("intoto.jsonl", False, ""),
        ("MODEL.SIG", False, ""),
    ],
)
def test_a_signature_is_known_by_its_name(name: str, known: bool, target: str) -> None:  # noqa: FBT001 - a column
    assert is_signature(name) == known
    assert signed_name(name) == target


@pytest.mark.parametrize(
    ("name", "raw", "kind", "digests", "signed"),
    [
        ("model.sig", bundle(oms({"a": A, "d/b": B})), "oms", {"a": {A}, "d/b": {B}}, True),
        ("model.sig", bundle(oms({".": A}, "a.gguf")), "oms", {"a.gguf": {A}}, True),
        ("model.sig", bundle(oms({"a": A}, algorithm="blake2b")), "oms", {"a": set()}, True),
        (
            "model.sig",
            bundle(oms({"a:0:1000": A, "a:1000:2000": B, "b": B})),
            "oms",
            {"a": set(), "b": {B}},
            True,
        ),
        (
            "model.sig",
            bundle(
                attestation({"./a": A.upper()}, predicateType="https://model_signing/Digests/v0.1")
            ),
            "oms",
            {"a": {A}},
            True,
        ),
        ("x.intoto.json", bundle(attestation({"a": A})), "in-toto", {"a": {A}}, True),
        ("x.intoto.jsonl", LINES, "in-toto", {"a.gguf": {A, B}, "b.gguf": {B}}, True),
        (
            "x.intoto.json",
            json.dumps(attestation({"a": A}), indent=2).encode(),
            "in-toto",
            {"a": {A}},
            False,
        ),
        (
            "x.intoto.json",
            json.dumps(attestation({}, subject=[{"digest": {"sha256": A}}])).encode(),
            "in-toto",
            {"": {A}},
            False,
        ),
        (
            "x.intoto.json",
            bundle(attestation({}, subject=[{"name": "a", "digest": {"gitCommit": "12"}}])),
            "in-toto",
            {"a": set()},
            True,
        ),
        (
            "x.intoto.json",
            bundle(attestation({"a": A}), signatures=[]),
            "in-toto",
            {"a": {A}},
            False,
        ),
        (
            "x.intoto.json",
            bundle(attestation({"a": A}), signatures=[{"sig": ""}]),
            "in-toto",
            {"a": {A}},
            False,
        ),
        ("a.gguf.sigstore.json", message(A), "sigstore", {"a.gguf": {A}}, True),
    ],
    ids=[
        "oms",
        "oms-one-file",
        "oms-other-algorithm",
        "oms-shards",
        "oms-version-0.1",
        "in-toto-bundle",
        "in-toto-lines",
        "in-toto-indented",
        "in-toto-no-name",
        "in-toto-other-digest",
        "in-toto-no-signature",
        "in-toto-empty-signature",
        "sigstore-message",
    ],
)
def test_what_each_format_names(
    name: str,
    raw: bytes,
    kind: Kind,
    digests: dict[str, set[str]],
    signed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    signature = read_signature(name, raw)
    assert signature.problem == ""
    assert (signature.kind, signature.signed) == (kind, signed)
    assert dict(signature.digests) == digests


def _broken(change: dict[str, Any], **changes: Any) -> bytes:
    return bundle(oms({"a": A}) | change, **changes)


@pytest.mark.parametrize(
    ("name", "raw", "problem"),
    [
        ("model.sig", b"", "not JSON"),
        ("model.sig", b"\xff", "not UTF-8"),
        ("model.sig", b"[]", "not a JSON object"),
        ("model.sig", b"[" * 100_000, "nested too deeply"),
        ("model.sig", b"{}", "not a sigstore bundle"),
        ("model.sig", b" " * SIGNATURE_LIMIT, "exceeds the limit"),
        ("model.sig", b"[{}" + b",{}" * 200_000 + b"]", "limit of 200,000 values"),
        ("model.sig", bundle(b"[{}" + b",{}" * 200_000 + b"]"), "limit of 200,000 values"),
        ("model.sig", b'{"dsseEnvelope": {}, "dsseEnvelope": {}}', "is duplicated"),
        ("model.sig", b'{"dsseEnvelope": 3}', "no dsseEnvelope"),
        ("model.sig", bundle(oms({"a": A}), payloadType="text/plain"), "payload type is not"),
        ("model.sig", bundle(oms({"a": A}), payload=3), "no payload"),
        ("model.sig", bundle(oms({"a": A}), payload="*"), "not Base64"),
        ("model.sig", bundle(oms({"a": A}), payload="\u00e4"), "not Base64"),
        ("model.sig", bundle(b"{"), "not JSON"),
        ("model.sig", bundle(b'{"_type": "a", "_type": "b"}'), "is duplicated"),
        ("model.sig", bundle({"_type": "https://example.org"}), "not an in-toto statement"),
        ("model.sig", _broken({"subject": []}), "not have exactly one subject"),
        ("model.sig", _broken({"subject": [3]}), "no list of subject"),
        ("model.sig", _broken({"predicate": []}), "no predicate"),
        ("model.sig", _broken({"predicate": {"resources": 3}}), "no list of resources"),
        ("model.sig", _broken({"predicate": {"resources": [{"name": "a"}]}}), "no digest"),
        (
            "model.sig",
            _broken({"predicate": {"resources": [{"name": "a\n", "digest": "zz"}]}}),
            "'a\\n' is not hexadecimal",
        ),
        (
            "model.sig",
            _broken({"predicate": {"resources": [{"name": "a", "digest": B}]}}),
            "does not match those",
        ),
        (
            "model.sig",
            _broken({"predicate": {"resources": [{"name": "a", "digest": d} for d in (A, B)]}}),
            "states two digests of 'a'",
        ),
        (
            "x.intoto.json",
            bundle(attestation({"a": "12"})),
            "SHA-256 of 'a' is not 64",
        ),
        ("x.intoto.json", bundle(attestation({}, subject=[{"name": "a"}])), "no digest"),
        ("x.intoto.jsonl", b"\n\n", "empty"),
        ("x.intoto.jsonl", b"{}\n" * 1001, "more than 1000 lines"),
        ("x.intoto.jsonl", LINES + b"{", "not JSON"),
        ("x.sigstore.json", b'{"messageSignature": {}}', "no messageDigest"),
        ("x.sigstore.json", message("12"), "SHA-256 of 'x' is not 64"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_what_is_wrong_is_said_and_nothing_is_named(name: str, raw: bytes, problem: str) -> None:
    signature = read_signature(name, raw)
    assert problem in signature.problem
    assert not signature.digests
    assert not signature.signed


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"a": A}, Comparison(agree=("a",))),
        ({"a": A.upper()}, Comparison(agree=("a",))),
        ({"a": B}, Comparison(differ=("a",))),
        ({"a": ""}, Comparison(unknown=("a",))),
        ({"c": A}, Comparison(unknown=("c",))),
        ({"renamed": B}, Comparison()),
        ({"other": ""}, Comparison()),
        ({"other": sha256(b"x")}, Comparison()),
        ({"a": B, "b": A}, Comparison(differ=("a", "b"))),
    ],
    ids=str,
)
def test_digests_are_compared(known: dict[str, str], expected: Comparison) -> None:
    digests = {"a": frozenset({A}), "b": frozenset({B}), "c": frozenset[str]()}
    assert compare(Signature("model.sig", digests=digests), known) == expected


def _look(
    name: str, raw: bytes, own: dict[str, str], beside: dict[str, str] | None = None
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Hold one signature file against files whose digests are known."""
    known = own | (beside or {})
    items = {path: StoredObject(f"/models/{path}", 1, "") for path in known}
    sha256 = {items[path].url: digest for path, digest in known.items()}
    files = ArtifactFiles(
        tuple(items[path] for path in own),
        tuple(items[path] for path in beside or ()),
        sha256=sha256,
        proven=sha256,
    )
    item = StoredObject(f"/models/{name}", len(raw), "")
    file = SignatureFile(item, read_signature(name, raw), read_statements(name, raw))
    return look_at_signatures([file], files)


@pytest.mark.parametrize(
    ("name", "raw", "known", "codes", "covered"),
    [
        ("model.sig", bundle(oms({"a": A})), {"a": A}, ["unverified"], True),
        ("model.sig", bundle(oms({"a": A})), {"a": ""}, ["unverified"], True),
        ("model.sig", bundle(oms({"a": A})), {"a": B}, ["mismatch"], False),
        ("model.sig", bundle(oms({"a": A})), {"a": A, "b": B}, ["unverified"], False),
        ("model.sig", bundle(oms({"a": A})), {"b": B}, ["unverified"], False),
        ("model.sig", b"{", {"a": A}, ["unreadable"], False),
        ("x.intoto.json", bundle(attestation({"a": A})), {"b": B}, [], False),
        (
            "x.intoto.json",
            json.dumps(attestation({"a": A})).encode(),
            {"a": A},
            ["unverified"],
            False,
        ),
        ("model.sig", bundle(oms({"a": A, "config.json": B})), {"a": A}, ["unverified"], True),
    ],
    ids=str,
)
def test_findings_and_facts(
    name: str,
    raw: bytes,
    known: dict[str, str],
    codes: list[str],
    covered: bool,  # noqa: FBT001 - a column of the table
) -> None:
    facts, findings = _look(name, raw, known)
    url = f"/models/{name}"
    assert [finding.code for finding in findings] == [f"signature/{code}" for code in codes]
    assert all(finding.url == url and finding.hint for finding in findings)
    assert facts["covered"] == covered
    assert json.loads(json.dumps(facts)) == facts
    (entry,) = facts["files"]
    assert entry["name"] == name


def test_files_beside_the_model_are_compared_too() -> None:
    raw = bundle(oms({"a": A, "config.json": B}))
    facts, findings = _look("model.sig", raw, {"a": A}, {"config.json": A})
    assert [finding.code for finding in findings] == ["signature/mismatch"]
    assert "config.json" in findings[0].message
    assert B in findings[0].message
    assert not facts["covered"]
    facts, findings = _look("model.sig", raw, {"a": A}, {"config.json": B, "README.md": A})
    assert facts["covered"]
    assert [finding.code for finding in findings] == ["signature/unverified"]


def test_without_signatures_there_is_nothing_to_say() -> None:
    assert look_at_signatures([], ArtifactFiles(())) == ({}, ())


def test_hostile_names_stay_text() -> None:
    evil = "\x1b[31m\n\ud800</script>"
    raw = bundle(attestation({evil: A}, predicateType=evil))
    facts, findings = _look("x.intoto.json", raw, {evil: B})
    for finding in findings:
        assert finding.message.isascii()
        assert finding.message.isprintable()
    assert json.dumps(facts["files"][0]["predicates"]).count("u001b") == 0
