"""Both engines over OpenStack Swift's S3 API: signatures and listings of other people's making."""

import pytest

from prefect_mutagen.scanner import StorageError, scan
from prefect_mutagen.scanner.storage.opening import open_store
from tests.builders import ARRAY, STRING, gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import ENGINES, choose_engine, wait
from tests.swift_server import SwiftServer

pytestmark = [pytest.mark.server, pytest.mark.slow]

WORDS = [f"token {number:06}" for number in range(50_000)]
FILES = {
    "a/long.gguf": gguf([("tokenizer.ggml.tokens", ARRAY, (STRING, WORDS))]).data,
    "a/cut.gguf": gguf().data[:100],
    "b/model.safetensors": safetensors('{"a":%s}' % GOOD, 4),
    "b/config.json": b'{"model_type": "mistral"}',
    "b/README.md": b"---\nlicense: mit\n---\n",
    "b/odd name, größe #1?.gguf": gguf().data,
    "b//empty-segment.gguf": gguf().data,
}


@pytest.fixture(params=ENGINES, autouse=True)
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    choose_engine(monkeypatch, request.param)


def test_a_bucket_is_scanned(swift_server: SwiftServer) -> None:
    bucket = swift_server.bucket(FILES)
    results = {
        result.url.removeprefix(f"s3://{bucket}/"): result
        for result in scan(f"s3://{bucket}", storage_options=swift_server.options)
    }
    assert {name: result.verdict.status for name, result in results.items()} == {
        "a/long.gguf": "passed",
        "a/cut.gguf": "failed",
        "b/model.safetensors": "passed",
        "b/odd name, größe #1?.gguf": "passed",
        "b//empty-segment.gguf": "passed",
    }
    assert results["a/long.gguf"].sbom.vocab_size == len(WORDS)
    assert results["a/long.gguf"].requests == 1
    assert results["b/model.safetensors"].license_spdx == "MIT"


def test_pages_prefixes_and_single_objects(swift_server: SwiftServer) -> None:
    files = {f"m/{number:02}.gguf": b"x" for number in range(12)} | {"m.gguf": b"y"}
    bucket, options = swift_server.bucket(files), swift_server.options
    store = open_store(f"s3://{bucket}/m", options)
    assert len(list(store.list_objects(lambda *_: True))) == 12
    (item,) = open_store(f"s3://{bucket}/m.gguf", options).list_objects(lambda *_: True)
    assert wait(store, store.read(item, 0, 1)).data == b"y"
    empty = open_store(f"s3://{swift_server.bucket()}", options)
    assert list(empty.list_objects(lambda *_: True)) == []


def test_a_replaced_object_is_noticed(swift_server: SwiftServer) -> None:
    bucket = swift_server.bucket({"m/a.gguf": b"0123456789"})
    store = open_store(f"s3://{bucket}/m", swift_server.options)
    (item,) = store.list_objects(lambda *_: True)
    swift_server.client().put_object(Bucket=bucket, Key="m/a.gguf", Body=b"9876543210")
    with pytest.raises(StorageError) as caught:
        wait(store, store.read(item, 0, 10))
    assert caught.value.code == "storage/changed-during-scan"


@pytest.mark.parametrize(
    ("options", "bucket", "code"),
    [
        ({"secret": "wrong"}, "", "storage/credentials"),
        ({"key": "test:nobody"}, "", "storage/credentials"),
        ({}, "no-such-bucket", "storage/not-found"),
    ],
    ids=["secret", "user", "bucket"],
)
def test_what_is_refused(
    swift_server: SwiftServer, options: dict[str, str], bucket: str, code: str
) -> None:
    name = bucket or swift_server.bucket({"a.gguf": b"x"})
    with pytest.raises(StorageError) as caught:
        list(
            open_store(f"s3://{name}", swift_server.options | options).list_objects(lambda *_: True)
        )
    assert caught.value.code == code
    assert "wrong" not in str(caught.value)
