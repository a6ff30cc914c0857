"""Whatever lies under a signature's name, reading it gives an answer, and never a lie."""

import json

from hypothesis import given
from hypothesis import strategies as st

from prefect_mutagen.scanner.listing.roles import SIGNATURE_SUFFIXES
from prefect_mutagen.scanner.signing.digests import compare
from prefect_mutagen.scanner.signing.signatures import read_signature
from tests.signing import attestation, bundle, envelope, oms

NAMES = st.sampled_from(["model.sig", *(f"m.gguf{suffix}" for suffix in SIGNATURE_SUFFIXES)])
DIGESTS = st.dictionaries(
    st.text(min_size=1, max_size=20).filter(
        lambda name: name != "." and ":" not in name and not name.startswith("./")
    ),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    max_size=5,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from(
    ["dsseEnvelope", "messageSignature", "payload", "_type", "subject", "predicate", "signatures"]
)


@given(NAMES, st.binary(max_size=200))
def test_any_bytes(name: str, raw: bytes) -> None:
    signature = read_signature(name, raw)
    assert bool(signature.problem) or not signature.digests


@given(NAMES, st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_json(name: str, document: dict[str, object]) -> None:
    for raw in (
        json.dumps(document).encode(),
        bundle(attestation({}) | document),
        bundle(oms({}) | document),
        json.dumps(envelope(attestation({})) | document).encode(),
    ):
        signature = read_signature(name, raw)
        assert not (signature.problem and signature.digests)


@given(DIGESTS, st.booleans())
def test_what_is_written_is_read(digests: dict[str, str], as_oms: bool) -> None:  # noqa: FBT001 - drawn
    raw = bundle(oms(digests) if as_oms else attestation(digests))
    signature = read_signature("model.sig", raw)
    assert signature.problem == ""
    assert {name: set(values) for name, values in signature.digests.items()} == {
        name: {digest} for name, digest in digests.items()
    }
    assert compare(signature, digests).agree == tuple(digests)


@given(DIGESTS, st.integers(min_value=0))
def test_a_cut_file_names_nothing(digests: dict[str, str], at: int) -> None:
    raw = bundle(oms(digests))
    signature = read_signature("model.sig", raw[: at % len(raw)])
    assert signature.problem
    assert not signature.digests
