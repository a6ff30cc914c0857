"""Every model file is in exactly one artifact, whatever a folder's indexes name."""

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.content.shard_index import read_index
from prefect_mutagen.scanner.listing.grouping import group_artifacts
from prefect_mutagen.scanner.listing.listed_index import ListedIndex
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.builders import safetensors

NAMES = (
    "model.safetensors",
    "model.fp16.safetensors",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model-0001-of-0002.safetensors",
    "model_00001-of-00003.safetensors",
    "model-00001-of-00001.safetensors",
    "consolidated.safetensors",
    "consolidated.00.safetensors",
    "consolidated-00001-of-00002.safetensors",
    "model-rank-0-part-0.safetensors",
    "model-rank-2-part-1.safetensors",
    "model1-mp2.safetensors",
    "adapter_model.safetensors",
    "x.safetensors",
    "y.safetensors",
)
INDEXES = (
    "model.safetensors.index.json",
    "model.safetensors.index.fp16.json",
    "model.fp16.safetensors.index.json",
    "consolidated.safetensors.index.json",
    "x.safetensors.index.json",
)
# Storage lists by bytes, and these folders come after the indexes above them.
FOLDERS = ("", "y/", "y/z/", "zz/")
PATHS = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES)).map("".join)
SPELLINGS = st.sampled_from(["%s", "./%s", ".//%s"])


@st.composite
def models(draw: st.DrawFn) -> dict[str, bytes]:
    """Files by path: weights, each with a tensor of its own name, and indexes."""
    paths = draw(st.lists(PATHS, max_size=14, unique=True))
    files = {}
    for path in paths:
        content = {path: {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
        files[path] = safetensors(content, 1)
    indexes = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(INDEXES)).map("".join)
    for index in draw(st.lists(indexes, max_size=3, unique=True)):
        folder = index[: index.rfind("/") + 1]
        inside = [path for path in paths if path.startswith(folder)]
        named = draw(st.lists(st.sampled_from(inside), max_size=6)) if inside else []
        missing = draw(st.lists(st.sampled_from(NAMES).map(folder.__add__), max_size=1))
        weight_map = {path: draw(SPELLINGS) % path[len(folder) :] for path in (*named, *missing)}
        files[index] = json.dumps({"weight_map": weight_map}).encode()
    return files


def _is_model(path: str) -> bool:
    return path.endswith(".safetensors")


@given(models(), st.integers(1, 4), st.booleans())
def test_a_file_is_grouped_once(files: dict[str, bytes], threshold: int, local: bool) -> None:  # noqa: FBT001 - drawn
    def read(item: StoredObject) -> ListedIndex | None:
        index = read_index(files[item.url.removeprefix("s3://r/")]).contents
        if index is None:
            return None
        return ListedIndex(item, frozenset(index.weight_map.values()), "")

    order = sorted(files, key=(lambda path: (path.rpartition("/")[0], path)) if local else None)
    listed = [StoredObject(f"s3://r/{path}", 1, f"etag:{path}") for path in order]
    artifacts = list(group_artifacts(listed, "s3://r", read_index=read))
    times = Counter(item.url for artifact in artifacts for item in artifact.objects)
    assert times == {f"s3://r/{path}": 1 for path in files if _is_model(path)}
    urls = [artifact.url for artifact in artifacts]
    assert len(set(urls)) == len(urls)
    spilled = list(group_artifacts(listed, "s3://r", threshold, read))
    assert spilled == artifacts
    for artifact in artifacts:
        assert artifact.url.rpartition("/")[2] not in artifact.rivals.weights


@settings(max_examples=60)
@given(models())
def test_a_file_is_judged_once(files: dict[str, bytes]) -> None:
    with TemporaryDirectory() as folder:
        for path, content in files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        results = list(scan(folder))
        times = Counter(item.url for result in results for item in result.objects)
        assert times == {f"{folder}/{path}": 1 for path in files if _is_model(path)}
        for result in results:
            for finding in result.findings:
                # What is said to be missing is missing, as far as the finding names it.
                if finding.code == "set/missing-shard" and finding.field == "weight_map":
                    named = finding.message.rpartition(": ")[2].split(", ")
                    below = result.url.rpartition("/")[0]
                    for name in named:
                        assert not Path(below, name.strip("'")).exists(), finding.message
