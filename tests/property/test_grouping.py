"""Where objects wait until their folder is complete makes no difference to what they become."""

from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mutagen.scanner.listing.folder_group import FolderGroup
from prefect_mutagen.scanner.listing.grouping import group_artifacts
from prefect_mutagen.scanner.listing.loose_weights import LOOSE
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.storage.store import StoredObject

STEMS = st.sampled_from(["m", "model", "größe", "\udcff", "a-00001-of-00002", "x/y", "n\n", "M"])
ENDINGS = st.sampled_from(
    [
        ".gguf",
        ".safetensors",
        ".GGUF",
        "-00001-of-00001.safetensors",
        "-00001-of-00002.safetensors",
        "-00002-of-00002.safetensors",
        "-00002-of-00003.safetensors",
        "-00001-of-00002.gguf",
        "-00002-of-00002.gguf",
        "-00001-of-00002.fp16.safetensors",
        ".safetensors.index.json",
        ".safetensors.index.fp16.json",
        ".gguf.sha256",
        ".safetensors.sha256",
        ".gguf.intoto.jsonl",
        ".gguf.sigstore.json",
        ".intoto.json",
        ".pt",
        ".gguf?versionId=1",
        "-00001-of-00002.gguf?versionId=2",
    ]
)
WHOLE = st.sampled_from(["README.md", "config.json", "SHA256SUMS", "checksums.sha256", "model.sig"])
FOLDERS = st.sampled_from(["", "a/", "a/b/", "ab/", ".git/"])


@st.composite
def listings(draw: st.DrawFn) -> list[StoredObject]:
    """Objects below a root, as a listing gives them, a folder's own ones in any order."""
    name = WHOLE | st.tuples(STEMS, ENDINGS).map("".join)
    keys = draw(st.lists(st.tuples(FOLDERS, name).map("".join), max_size=40, unique=True))
    if draw(st.booleans()):
        keys.sort()  # as S3 lists: the folders inside one come between its objects
    else:
        keys.sort(key=lambda key: key.rpartition("/")[0])
    return [StoredObject(f"s3://r/{key}", 1, f"etag:{place}") for place, key in enumerate(keys)]


@given(listings(), st.integers(1, 10))
def test_a_file_and_memory_give_the_same_artifacts(
    listed: list[StoredObject], threshold: int
) -> None:
    in_memory = list(group_artifacts(listed, "s3://r"))
    from_file = list(group_artifacts(listed, "s3://r", threshold))
    assert from_file == in_memory
    assert [one.pin for one in from_file] == [one.pin for one in in_memory]


@given(listings())
def test_every_model_is_given_out(listed: list[StoredObject]) -> None:
    """What is examined is in an artifact; other weights are one, or lie beside one."""
    models = {item.url for item in listed if role_of(item.name) == "weights"}
    loose = {item.url for item in listed if role_of(item.name) in LOOSE}
    artifacts = list(group_artifacts(listed, "s3://r", 3))
    own = {item.url for one in artifacts for item in one.objects}
    besides = [one.beside for one in artifacts]
    told = {item.url for one in besides for item in (*one.pickles.items, *one.other_weights.items)}
    assert models <= own <= models | loose
    assert loose <= own | told
    for one in artifacts:
        assert all(a.name <= b.name for a, b in pairwise(one.objects))


@given(listings(), st.integers(1, 10), st.integers(0, 40), st.sampled_from(["single", "_set"]))
def test_every_model_is_given_out_once_wherever_the_scanner_fails(
    listed: list[StoredObject], threshold: int, at: int, name: str
) -> None:
    calls = count()
    original = getattr(FolderGroup, name)

    def planted(*given_: Any) -> Any:
        if next(calls) == at:
            raise RuntimeError
        return original(*given_)

    whole = list(group_artifacts(listed, "s3://r", threshold))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderGroup, name, planted)
        found = list(group_artifacts(listed, "s3://r", threshold))
    urls = [one.url for one in found]
    assert len(set(urls)) == len(urls)
    models = {item.url for one in whole for item in one.objects}
    assert {item.url for one in found for item in one.objects} >= models
    broken = {one.url for one in found if one.objects and one.objects[0].fault is not None}
    assert bool(broken) == (next(calls) > at) or not found
    assert {one.url for one in whole} <= set(urls) | {
        one.url for one in whole for item in one.objects if item.url in broken
    }
