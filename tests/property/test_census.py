"""A census adds up to the listing, whatever a bucket holds."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from prefect_mutagen.scanner.census import Census
from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.listing.counting import Counting
from prefect_mutagen.scanner.listing.listing import list_artifacts
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.opening import open_store
from tests.builders import gguf
from tests.scanner.examine.shard_builders import index, shard
from tests.scanner.storing import put_local

_NAMES = st.sampled_from(
    [
        *("model.safetensors", "m.gguf", "a-00001-of-00002.gguf", "pytorch_model.bin", "x.pkl"),
        *("optimizer.pt", "x.npy", "model.onnx", "tf_model.h5", "README.md", "config.json"),
        *("model.safetensors.index.json", "model_index.json", "modules.json", "a.py", "LICENSE"),
        *("tokenizer.json", "model.sig", "m.gguf.sha256", "m.gguf.aria2", "x.jinja", "._m.gguf"),
        *("a.png", "run.log", "what", "what.xyz", "x\n.bin", "a.dat", "oci-layout"),
        *("sha256-" + "ab" * 32, "blobs"),
    ]
)
_FOLDERS = st.sampled_from(
    ["", "a/", "a/unet/", "a/b/c/", "b/", "models--o--m/snapshots/1/", "models--o--m/blobs/"]
)
_CONTENTS = st.sampled_from(
    [
        *(b"", b"x", b"\x80\x02}.", b"\x80\x02cos\nsystem\n.", b"{}", b"PK\x03\x04"),
        *(b"\x89HDF\r\n\x1a\n", gguf().data, shard("a"), index({"a": "model.safetensors"})),
        b"\x01\xfe" * 40,
    ]
)


@given(st.dictionaries(st.builds(str.__add__, _FOLDERS, _NAMES), _CONTENTS, max_size=12))
def test_a_census_adds_up_to_the_listing(files: dict[str, bytes]) -> None:
    names = [name for name in files if not any(other.startswith(f"{name}/") for other in files)]
    files = {name: files[name] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        put_local(Path(folder), files)
        store, census, summary = open_store(folder), Census(), Summary()
        summary.census = census
        artifacts = list_artifacts(store, counting=Counting(store.root, census))
        for result in examine_artifacts(store, artifacts, Examiner()):
            summary.add(result)
    rows = census.rows
    assert sum(row.objects for row in rows) == len(files)
    assert sum(row.bytes for row in rows) == sum(map(len, files.values()))
    assert all(row.objects > 0 <= row.bytes for row in rows)
