"""Versions of objects in a bucket that keeps them."""

import json

import pytest

from prefect_mutagen.scanner import ArtifactRejected, StorageError, verify
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.storage.address import VERSION_MARK
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.builders import STRING, gguf
from tests.servers import S3Server

OLD, NEW = (gguf((("general.architecture", STRING, name),)).data for name in ("old", "new"))


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    name = s3_server.bucket()
    client = s3_server.client()
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for data in (OLD[:90], OLD, NEW):
        client.put_object(Bucket=name, Key="m/a.gguf", Body=data)
    client.put_object(Bucket=name, Key="m/config.json", Body=b"{}")
    client.put_object(Bucket=name, Key="m/config.json", Body=b'{"x":1}')
    client.put_object(Bucket=name, Key="m/gone.gguf", Body=OLD)
    client.delete_object(Bucket=name, Key="m/gone.gguf")
    return name


def _report(
    bucket: str, server: S3Server, capsys: pytest.CaptureFixture[str], *more: str
) -> dict[str, tuple[str, str]]:
    options = json.dumps(server.options)
    arguments = ["scan", f"s3://{bucket}/m", "--storage-options", options, "--format", "report"]
    main([*arguments, *more])
    report = json.loads(capsys.readouterr().out)
    return {
        one["url"]: (one["sbom"]["architecture"], one["verdict"]["status"])
        for one in report["artifacts"]
    }


def test_the_newest_version_is_examined_by_default(
    bucket: str, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _report(bucket, s3_server, capsys) == {f"s3://{bucket}/m/a.gguf": ("new", "passed")}


def test_all_versions_are_examined_on_request(
    bucket: str, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _report(bucket, s3_server, capsys, "--all-versions")
    assert found.pop(f"s3://{bucket}/m/a.gguf") == ("new", "passed")
    assert all(VERSION_MARK in url for url in found)
    assert sorted(found.values()) == [("old", "failed"), ("old", "passed"), ("old", "passed")]
    names = {StoredObject(url, 1, "").name for url in found}
    assert names == {"a.gguf", "gone.gguf"}


def test_one_version_can_be_verified(
    bucket: str, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _report(bucket, s3_server, capsys, "--all-versions")
    for url, (architecture, status) in found.items():
        if status == "passed":
            result = verify(url, storage_options=s3_server.options)
            assert (result.url, result.sbom.architecture) == (url, architecture)
        else:
            with pytest.raises(ArtifactRejected):
                verify(url, storage_options=s3_server.options)
    gone = f"s3://{bucket}/m/a.gguf{VERSION_MARK}nowhere"
    with pytest.raises(StorageError):
        verify(gone, storage_options=s3_server.options)


@pytest.mark.parametrize("url", ["memory://x", "/models", "https://127.0.0.1/m"])
def test_versions_are_of_s3(url: str) -> None:
    with pytest.raises(StorageError, match="only be listed on S3"):
        open_store(url, versions=True)
