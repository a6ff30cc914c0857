"""A version is what a store of versions gave: never a text in a name, and never less checked."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import ArtifactRejected, Policy, scan, verify
from prefect_mutagen.scanner.listing.inventory import list_inventory, read_inventory
from prefect_mutagen.scanner.storage.address import VERSION_MARK
from prefect_mutagen.scanner.storage.opening import open_store
from tests.builders import gguf
from tests.scanner.examine.shard_builders import Files, index, model, shard
from tests.scanner.storing import put_local
from tests.servers import S3Server

CARD = b"---\nlicense: llama3\n---\n"
GGUF = gguf().data
POLICY = Policy(denied_licenses=("llama3",))
MARKED = f"m.gguf{VERSION_MARK}1"
BESIDE: dict[str, tuple[Files, str]] = {
    "licence": ({"README.md": CARD}, "policy/license"),
    "template": ({"chat_template.jinja": b"{{ ''.__class__ }}"}, "template/escape"),
    "checksum": ({"SHA256SUMS": b"0" * 64 + b"  NAME\n"}, ""),
    "pickle": ({"pytorch_model.bin": b"\x80\x02}."}, "set/pickle-beside"),
    "rival": ({"other-00001-of-00002.gguf": GGUF}, ""),
}


def _codes(error: ArtifactRejected) -> set[str]:
    return {reason.code for reason in error.reasons} | {one.code for one in error.findings}


@pytest.mark.parametrize("name", [f"{MARKED}.gguf", f"{VERSION_MARK}.gguf"])
@pytest.mark.parametrize(("beside", "code"), [BESIDE["licence"], BESIDE["template"]])
@pytest.mark.parametrize("storage", ["local", "s3"])
def test_a_name_is_a_name(
    name: str, beside: Files, code: str, storage: str, tmp_path: Path, s3_server: S3Server
) -> None:
    files = {f"m/{name}": GGUF} | {f"m/{each}": data for each, data in beside.items()}
    options: dict[str, Any] = {}
    if storage == "local":
        put_local(tmp_path, files)
        root = str(tmp_path / "m")
    else:
        root, options = f"s3://{s3_server.bucket(files)}/m", s3_server.options
    (result,) = scan(root, policy=POLICY, storage_options=options)
    assert not result.passed
    with pytest.raises(ArtifactRejected) as refused:
        verify(result.url, policy=POLICY, storage_options=options)
    assert code in _codes(refused.value)


def test_a_shard_whose_name_looks_like_a_version_is_one_of_a_set(s3_server: S3Server) -> None:
    first = f"model-00001-of-00002.safetensors{VERSION_MARK}x.safetensors"
    files = {
        "m/model.safetensors.index.json": index({"a": first, "b": "b.safetensors"}),
        f"m/{first}": shard("a"),
        "m/b.safetensors": shard("b"),
    }
    bucket = s3_server.bucket(files)
    results = list(scan(f"s3://{bucket}/m", storage_options=s3_server.options))
    (result,) = (one for one in results if one.kind == "set")
    assert result.passed, result.findings
    assert {item.url for item in result.objects} == {
        f"s3://{bucket}/m/{first}{VERSION_MARK}",
        f"s3://{bucket}/m/b.safetensors",
    }


def test_an_index_names_no_version(s3_server: S3Server) -> None:
    """A loader looks for a file of that name, and does not find it."""
    bucket = s3_server.bucket({})
    client = s3_server.client()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket=bucket, Key="m/b.safetensors", Body=shard("b"))["VersionId"]
    client.put_object(Bucket=bucket, Key="m/b.safetensors", Body=b"cut")
    named = f"b.safetensors{VERSION_MARK}{old}"
    client.put_object(Bucket=bucket, Key="m/a.safetensors", Body=shard("a"))
    body = index({"a": "a.safetensors", "b": named})
    client.put_object(Bucket=bucket, Key="m/model.safetensors.index.json", Body=body)
    results = scan(f"s3://{bucket}/m", storage_options=s3_server.options)
    (result,) = (one for one in results if one.kind == "set")
    assert "set/missing-shard" in {one.code for one in result.findings}


def test_an_inventory_names_no_version(s3_server: S3Server) -> None:
    rows = f'"data","m/{MARKED.replace("?", "%3F").replace("=", "%3D")}","{len(GGUF)}","00"\n'
    schema = "Bucket, Key, Size, ETag"
    data = gzip.compress(rows.encode())
    bucket = s3_server.bucket({f"m/{MARKED}": GGUF, "i/data.csv.gz": data})
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "fileFormat": "CSV",
        "fileSchema": schema,
        "creationTimestamp": "1700000000000",
        "files": [{"key": "i/data.csv.gz", "size": len(data)}],
    }
    client = s3_server.client()
    client.put_object(Bucket=bucket, Key="i/manifest.json", Body=json.dumps(manifest).encode())
    inventory = read_inventory(f"s3://{bucket}/i/manifest.json", s3_server.options)
    (item,) = list_inventory(inventory, f"s3://{bucket}/m", lambda *_: True)
    assert (item.version, item.name) == ("", MARKED)


@pytest.fixture
def versioned(s3_server: S3Server) -> str:
    bucket = s3_server.bucket({})
    s3_server.client().put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    return bucket


def _put(server: S3Server, bucket: str, files: Files) -> dict[str, str]:
    client = server.client()
    return {
        name: client.put_object(Bucket=bucket, Key=name, Body=data)["VersionId"]
        for name, data in files.items()
    }


@pytest.mark.parametrize("place", ["m/", "m/q4/"], ids=["root", "below the root"])
@pytest.mark.parametrize(("beside", "code"), BESIDE.values(), ids=BESIDE)
def test_the_newest_version_is_checked_like_the_plain_address(
    beside: Files, code: str, place: str, versioned: str, s3_server: S3Server
) -> None:
    beside = {name: data.replace(b"NAME", b"m.gguf") for name, data in beside.items()}
    files = {f"{place}{name}": data for name, data in beside.items()}
    _put(s3_server, versioned, {f"{place}m.gguf": GGUF[:90]} | files | {"m/README.md": CARD})
    ids = _put(s3_server, versioned, {f"{place}m.gguf": GGUF})
    plain = f"s3://{versioned}/{place}m.gguf"
    named = f"{plain}{VERSION_MARK}{ids[f'{place}m.gguf']}"
    (by_address,) = scan(plain, policy=POLICY, storage_options=s3_server.options)
    (by_version,) = scan(named, policy=POLICY, storage_options=s3_server.options)
    assert by_version.url == named
    assert by_version.objects[0].pin == f"version:{ids[f'{place}m.gguf']}"
    assert {one.code for one in by_version.findings} == {one.code for one in by_address.findings}
    assert by_version.verdict.status == by_address.verdict.status
    assert by_version.loads == by_address.loads
    assert by_version.neighbours == by_address.neighbours
    assert by_version.sbom.sha256 == by_address.sbom.sha256
    found = {reason.code for reason in by_version.verdict.reasons}
    assert code in found | {one.code for one in by_version.findings} or not code
    with pytest.raises(ArtifactRejected):
        verify(named, policy=POLICY, storage_options=s3_server.options)
    with pytest.raises(ArtifactRejected) as refused:
        verify(named, by_version.pin, policy=POLICY, storage_options=s3_server.options)
    assert "storage/other-pin" not in {reason.code for reason in refused.value.reasons}


def test_the_newest_version_of_a_shard_is_one_of_a_set(versioned: str, s3_server: S3Server) -> None:
    files = {f"m/{name}": data for name, data in model("model-%05d-of-00002.safetensors").items()}
    ids = _put(s3_server, versioned, files)
    for name in files:
        url = f"s3://{versioned}/{name}{VERSION_MARK}{ids[name]}"
        (by_version,) = scan(url, storage_options=s3_server.options)
        (by_address,) = scan(f"s3://{versioned}/{name}", storage_options=s3_server.options)
        assert by_version.kind == by_address.kind
        assert by_version.verdict == by_address.verdict
        assert len(by_version.objects) == len(by_address.objects)


def test_an_older_version_is_itself_alone(versioned: str, s3_server: S3Server) -> None:
    old = _put(s3_server, versioned, {"m/m.gguf": GGUF})["m/m.gguf"]
    _put(s3_server, versioned, {"m/m.gguf": GGUF[:90], "m/README.md": CARD})
    url = f"s3://{versioned}/m/m.gguf{VERSION_MARK}{old}"
    result = verify(url, storage_options=s3_server.options)
    assert result.neighbours == {}
    s3_server.client().delete_object(Bucket=versioned, Key="m/m.gguf")
    assert verify(url, result.pin, storage_options=s3_server.options).pin == result.pin
    store = open_store(url, s3_server.options)
    assert store.root == url
