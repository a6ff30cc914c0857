"""An address is what its text says, whatever a key holds."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from prefect_mutagen.scanner.storage.address import VERSION_MARK, Address, versioned
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject

# Keys may hold anything but what ends a path; names on disk may be in no encoding.
ODD = ["..", ".", "#", "%", "%2F", "?", VERSION_MARK, " ", ":", "@", "~", "\udcff"]
LETTERS = st.characters(exclude_characters="/\0")
PIECES = st.one_of(st.sampled_from(ODD), st.text(LETTERS, min_size=1, max_size=8))
NAMES = st.lists(PIECES, min_size=1, max_size=4).map("".join)
KEYS = st.lists(st.one_of(NAMES, st.just(":/")), min_size=1, max_size=4).map("/".join)
VERSIONS = st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True))


@given(st.sampled_from(["s3", "gs", "az", "memory", "hf"]), KEYS)
def test_keys_stay_themselves(scheme: str, key: str) -> None:
    address = Address(scheme, "bucket", key)
    assert Address.parse(address.text) == address
    assert not address.has_secrets


@given(KEYS, VERSIONS)
def test_a_version_and_a_key_that_looks_like_one_are_told_apart(key: str, version: str) -> None:
    parsed = Address.parse(Address("s3", "bucket", key, version).text)
    assert (parsed.key, parsed.version) == (key, version)
    item = StoredObject(versioned(f"s3://bucket/{key}", version), 0, "")
    assert item.version == version
    assert item.name == key.rpartition("/")[2] or key.endswith("/")


@given(KEYS)
def test_local_paths_stay_themselves(key: str) -> None:
    address = Address.parse(f"/{key}")
    assert address.is_local
    assert Address.parse(address.text) == address


@given(NAMES)
def test_a_local_files_name_is_its_own(name: str) -> None:
    item = StoredObject(f"/folder/{name}", 0, "")
    assert (item.name, item.version) == (name, "")


@given(st.text(max_size=40))
def test_whatever_is_typed_is_an_address_or_is_refused(text: str) -> None:
    try:
        address = Address.parse(text)
    except StorageError as problem:
        assert problem.code == "storage/not-found"  # noqa: PT017 - hypothesis draws what is refused
        return
    assert Address.parse(address.text).text == address.text
    assert pickle.loads(pickle.dumps(address)) == address  # noqa: S301 - our own bytes


@given(st.from_regex(r"[a-z]{5,9}:[a-z0-9]{4,9}", fullmatch=True))
def test_secrets_are_in_no_text(secret: str) -> None:
    address = Address.parse(f"https://{secret}@host.example/m/a.gguf?sig={secret}")
    assert address.has_secrets
    assert secret not in address.text + repr(address) + str(address)
    assert address.secret_text == f"https://{secret}@host.example/m/a.gguf?sig={secret}"
