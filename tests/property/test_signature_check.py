"""Whatever becomes of a signed bundle: nothing is raised, and nothing else is ever genuine."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from prefect_mutagen.scanner.listing.roles import SIGNATURE_SUFFIXES
from prefect_mutagen.scanner.policy.policy import Signer
from prefect_mutagen.scanner.signing.check import SignatureChecker
from tests.certificates import Authority, chain_material, public_pem, signed_bundle, signed_file
from tests.signing import attestation, oms, sha256
from tests.sigstore_instance import IDENTITY, ISSUER, Sigstore

DIGEST = sha256(b"a model")
KEY = ec.generate_private_key(ec.SECP256R1())
AUTHORITY, SIGSTORE = Authority("root"), Sigstore()
CHAIN = chain_material(AUTHORITY.issue("release", KEY), AUTHORITY.certificate)
CHECKER = SignatureChecker(
    [
        Signer(public_key=public_pem(KEY)),
        Signer(certificate=AUTHORITY.pem),
        Signer(identity=IDENTITY, issuer=ISSUER, trusted_root=SIGSTORE.trusted_root()),
    ]
)
BUNDLES = st.sampled_from(
    [
        signed_bundle(oms({"m.gguf": DIGEST}), KEY),
        signed_bundle(attestation({"m.gguf": DIGEST}), KEY, CHAIN),
        signed_file(DIGEST, KEY, CHAIN),
        SIGSTORE.sign(oms({"m.gguf": DIGEST})),
        SIGSTORE.sign_file(DIGEST),
    ]
)
NAMES = st.sampled_from([f"m.gguf{suffix}" for suffix in SIGNATURE_SUFFIXES])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    if not isinstance(value, dict | list):
        return []
    found = [(*place, key) for key in keys]
    return found + [one for key in keys for one in _places(value[key], (*place, key))]


def _holds(name: str, raw: bytes) -> None:
    found = CHECKER.check(name, raw)
    assert (found.problem + found.detail).isascii()
    for genuine in found.genuine:
        # Something else about the bundle may differ, but never what was signed.
        assert set(genuine.statement.digests.values()) == {frozenset({DIGEST})}


@given(NAMES, st.binary(max_size=200))
def test_any_bytes(name: str, raw: bytes) -> None:
    assert CHECKER.check(name, raw).genuine == ()


@given(NAMES, BUNDLES, st.integers(min_value=0), st.integers(0, 255))
def test_a_byte_is_changed(name: str, raw: bytes, at: int, value: int) -> None:
    at %= len(raw)
    _holds(name, raw[:at] + bytes([value]) + raw[at + 1 :])


@given(NAMES, BUNDLES, st.integers(min_value=0), VALUES)
def test_a_value_is_exchanged(name: str, raw: bytes, at: int, value: Any) -> None:
    document = json.loads(raw)
    places = _places(document)
    *outer, key = places[at % len(places)]
    inside = document
    for step in outer:
        inside = inside[step]
    inside[key] = value
    _holds(name, json.dumps(document).encode())


@given(NAMES, BUNDLES, BUNDLES, st.integers(min_value=0))
def test_two_bundles_are_crossed(name: str, raw: bytes, other: bytes, at: int) -> None:
    document, donor = json.loads(raw), json.loads(other)
    places = [place for place in _places(donor) if len(place) < 3]
    *outer, key = places[at % len(places)]
    into, source = document, donor
    for step in outer:
        into, source = into.setdefault(step, {}), source[step]
    into[key] = source[key]
    _holds(name, json.dumps(document).encode())
