"""S3 Inventories as S3 writes them, in a bucket of a real server."""

import csv
import gzip
import io
import json
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.listing.inventory import list_inventory, read_inventory
from prefect_mutagen.scanner.listing.roles import is_relevant
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.builders import gguf
from tests.servers import S3Server

GGUF = gguf().data
FILES = {
    "m/z.gguf": GGUF,
    "m/a b+c/größe.gguf": GGUF,
    "m/config.json": b"{}",
    "other/x.gguf": GGUF,
    "m/notes.txt": b"",
}
SCHEMA = (
    "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
)
MOMENT = "2026-05-01T10:00:00.000Z"


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for row in rows:
        values = [row["bucket"], quote_plus(row["key"]), "", row["latest"], row["marker"]]
        writer.writerow([*values, row["size"], MOMENT, row["etag"], row["class"]])
    return gzip.compress(text.getvalue().encode())


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    columns = {
        "bucket": [row["bucket"] for row in rows],
        "key": [row["key"] for row in rows],
        "is_latest": [row["latest"] == "true" for row in rows],
        "is_delete_marker": [row["marker"] == "true" for row in rows],
        "size": [row["size"] for row in rows],
        "last_modified_date": [datetime(2026, 5, 1, 10, tzinfo=UTC) for _ in rows],
        "e_tag": [row["etag"] for row in rows],
        "storage_class": [row["class"] for row in rows],
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _publish(server: S3Server, form: str, **more: Any) -> tuple[str, str]:
    """Make a bucket, and an inventory of it in another one; addresses of root and manifest."""
    bucket, store = server.bucket(FILES), server.bucket()
    client = server.client()
    rows = []
    for key, data in FILES.items():
        etag = client.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
        row = {"bucket": bucket, "key": key, "size": len(data), "etag": etag}
        rows.append(row | {"latest": "true", "marker": "false", "class": "STANDARD"})
    gone = rows[0] | {"key": "m/deleted.gguf", "marker": "true"}
    old = rows[0] | {"key": "m/z.gguf", "latest": "false", "etag": "0" * 32}
    cold = rows[0] | {"key": "m/cold.gguf", "class": "DEEP_ARCHIVE"}
    write = _csv if form == "CSV" else _parquet
    names = [f"inv/data/{uuid.uuid4()}.{form.lower()}" for _ in range(2)]
    for name, part in zip(names, ([*rows[2:], gone, cold], [*rows[:2], old]), strict=True):
        client.put_object(Bucket=store, Key=name, Body=write(part))
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{store}",
        "version": "2016-11-30",
        "fileFormat": form,
        "fileSchema": SCHEMA,
        "files": [{"key": name, "size": 1, "MD5checksum": ""} for name in names],
    } | more
    key = "inv/2026-05-01T01-00Z/manifest.json"
    client.put_object(Bucket=store, Key=key, Body=json.dumps(manifest).encode())
    return f"s3://{bucket}/m", f"s3://{store}/{key}"


def _listed(server: S3Server, root: str, manifest: str) -> list[StoredObject]:
    return list(list_inventory(read_inventory(manifest, server.options), root, is_relevant))


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_an_inventory_gives_what_a_listing_gives(s3_server: S3Server, form: str) -> None:
    root, manifest = _publish(s3_server, form)
    found = _listed(s3_server, root, manifest)
    names = [item.url.removeprefix(root + "/") for item in found]
    assert names == ["a b+c/größe.gguf", "cold.gguf", "config.json", "z.gguf"]
    by_name = dict(zip(names, found, strict=True))
    assert by_name["z.gguf"].size == len(GGUF)
    assert by_name["z.gguf"].modified == datetime(2026, 5, 1, 10, tzinfo=UTC).timestamp()
    cold = by_name["cold.gguf"]
    assert (cold.fault, cold.storage_class) == (None, "DEEP_ARCHIVE")  # a read tells


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_a_scan_starts_from_an_inventory(
    s3_server: S3Server,
    form: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, manifest = _publish(s3_server, form)
    monkeypatch.setenv("PREFECT_MUTAGEN_STORAGE_OPTIONS", json.dumps(s3_server.options))
    assert main(["scan", root, "--inventory", manifest, "--format", "report"]) == 1
    report = json.loads(capsys.readouterr().out)
    verdicts = {
        one["url"].rpartition("/")[2]: one["verdict"]["status"] for one in report["artifacts"]
    }
    assert verdicts == {"größe.gguf": "passed", "z.gguf": "passed", "cold.gguf": "unknown"}
    # What lies beside them was written again after the inventory, and is read all the same.
    codes = [finding["code"] for one in report["artifacts"] for finding in one["findings"]]
    assert codes == ["storage/not-found"]


@pytest.mark.parametrize("name", ["nowhere", "notes.txt", "z.gguf"])
def test_a_root_that_the_inventory_does_not_know_is_refused(s3_server: S3Server, name: str) -> None:
    root, manifest = _publish(s3_server, "CSV")
    with pytest.raises(StorageError, match="lists nothing under this prefix") as caught:
        _listed(s3_server, f"{root}/{name}", manifest)
    assert caught.value.code == "storage/not-found"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sourceBucket": "another"}, "not one of the bucket"),
        ({"fileFormat": "ORC"}, "names no CSV or Parquet"),
        ({"files": [7]}, "names no CSV or Parquet"),
        ({"files": None}, "names no CSV or Parquet"),
    ],
    ids=["another-bucket", "orc", "odd-files", "no-files"],
)
def test_what_is_no_inventory_is_refused(
    s3_server: S3Server, more: dict[str, Any], message: str
) -> None:
    root, manifest = _publish(s3_server, "CSV", **more)
    with pytest.raises(ValueError, match=message):
        _listed(s3_server, root, manifest)


def test_a_data_file_that_is_missing_or_broken_is_said(s3_server: S3Server) -> None:
    root, manifest = _publish(s3_server, "CSV", files=[{"key": "inv/data/nowhere.csv.gz"}])
    with pytest.raises(StorageError, match="no such object"):
        _listed(s3_server, root, manifest)
    root, manifest = _publish(s3_server, "Parquet", fileFormat="CSV")
    with pytest.raises(ValueError, match="cannot be read"):
        _listed(s3_server, root, manifest)
    root, manifest = _publish(s3_server, "CSV", fileFormat="Parquet")
    with pytest.raises(ValueError, match="not Parquet"):
        _listed(s3_server, root, manifest)


@pytest.mark.parametrize(
    ("begun", "moment"),
    [("1777622400000", 1777622400.0), (1000, 1.0), ("soon", 0.0), (None, 0.0), ("9" * 40, 0.0)],
)
def test_an_inventory_says_when_it_was_begun(
    s3_server: S3Server, begun: object, moment: float
) -> None:
    _, manifest = _publish(s3_server, "CSV", creationTimestamp=begun)
    assert read_inventory(manifest, s3_server.options).begun_at == moment
