"""Keys as people and programs write them become addresses below the root, or are refused."""

import pytest

from prefect_mutagen.scanner.listing.keys import addresses_of, decoded
from prefect_mutagen.scanner.listing.selection import Selection


@pytest.mark.parametrize(
    ("key", "root", "address"),
    [
        ("a/m.gguf", "s3://b", "s3://b/a/m.gguf"),
        ("a/m.gguf", "s3://b/r", "s3://b/r/a/m.gguf"),
        ("s3://b/r/a/m.gguf", "s3://b/r", "s3://b/r/a/m.gguf"),
        ("s3a://b/r/m.gguf", "s3://b/r", "s3://b/r/m.gguf"),
        ("a b+c%20.gguf", "s3://b", "s3://b/a b+c%20.gguf"),
        ("x?versionId=1.gguf", "s3://b", "s3://b/x?versionId=1.gguf?versionId="),
        ("a//m.gguf", "s3://b", "s3://b/a//m.gguf"),
        ("a//m.gguf", "/r", "/r/a/m.gguf"),
        ("/r/m.gguf", "/r", "/r/m.gguf"),
        ("file:///r/m.gguf", "/r", "/r/m.gguf"),
        ("/m.gguf", "s3://b", "s3://b//m.gguf"),
        ("m.gguf", "/", "/m.gguf"),
        ("ü.gguf", "https://h/r/", "https://h/r/ü.gguf"),
        (".hidden/m..gguf", "s3://b", "s3://b/.hidden/m..gguf"),
    ],
)
def test_keys_become_addresses(key: str, root: str, address: str) -> None:
    assert addresses_of([key], root) == [address]


@pytest.mark.parametrize(
    ("key", "root", "reason"),
    [
        ("", "s3://b", "a key is empty"),
        (" \n", "s3://b", "a key is empty"),
        ("../m.gguf", "s3://b/r", "'..'"),
        ("a/../../m.gguf", "/r", "'..'"),
        ("./m.gguf", "/r", "'..'"),
        ("s3://b/r/../m.gguf", "s3://b/r", "'..'"),
        ("a/", "s3://b", "names a folder"),
        ("s3://other/m.gguf", "s3://b", "outside of the root"),
        ("s3://b/rest/m.gguf", "s3://b/r", "outside of the root"),
        ("gs://b/m.gguf", "s3://b", "outside of the root"),
        ("/elsewhere/m.gguf", "/r", "outside of the root"),
        ("s3://b/r", "s3://b/r", "outside of the root"),
        ("s3://b/m.gguf?versionId=abc", "s3://b", "newest version"),
        ("s3:///m.gguf", "s3://b", "names no bucket"),
        ("x" * 9000, "s3://b", "longer than"),
    ],
)
def test_what_names_no_object_of_the_root_is_refused(key: str, root: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        addresses_of(["fine.gguf", key], root)


@pytest.mark.parametrize("key", ["https://u:hunter2@h/m.gguf", "https://h/m.gguf?sig=hunter2"])
def test_a_secret_is_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="clear text") as caught:
        addresses_of([key], "https://h")
    assert "hunter2" not in str(caught.value)


def test_a_key_counts_once_however_it_is_written() -> None:
    keys = ["m.gguf", "s3://b/m.gguf", "m.gguf", "a.gguf", "s3a://b/m.gguf"]
    assert addresses_of(keys, "s3://b") == ["s3://b/a.gguf", "s3://b/m.gguf"]


def test_encoded_keys_are_recognised() -> None:
    assert decoded("s3://b/my+model%20%C3%BC.gguf") == "s3://b/my model ü.gguf"
    assert not decoded("s3://b/100%.gguf")


def test_a_selection_of_keys() -> None:
    assert Selection(keys=("a", "b")).describe() == "what 2 keys belong to"
    assert Selection(keys=("a",)).describe() == "what the key a belongs to"
    assert not Selection(keys=("a",)).takes_all
    for other in ({"all_versions": True}, {"inventory": "s3://b/manifest.json"}):
        with pytest.raises(ValueError, match="keys name the newest versions"):
            Selection(keys=("a",), **other)
