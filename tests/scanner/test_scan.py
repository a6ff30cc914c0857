import asyncio
import json
import os
import threading
from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, StorageError, scan
from prefect_mutagen.scanner.examine.scan_info import new_scan
from tests.builders import gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.processes import run_unprivileged
from tests.scanner.storing import put_local, put_memory
from tests.servers import S3Server, WebServer

GGUF = gguf().data
SAFETENSORS = safetensors('{"a":%s}' % GOOD, 4)
FILES = {
    "a/model.gguf": GGUF,
    "a/cut.gguf": GGUF[:100],
    "b/model.safetensors": SAFETENSORS,
    "b/config.json": b'{"model_type": "mistral"}',
    "b/README.md": b"---\nlicense: mit\n---\n",
    "c/page.gguf": b"<html>",
}
VERDICTS = {
    "a/model.gguf": "passed",
    "a/cut.gguf": "failed",
    "b/model.safetensors": "passed",
    "c/page.gguf": "failed",
}


def _verdicts(url: str, **options: object) -> dict[str, str]:
    results = scan(url, **options)  # type: ignore[arg-type]
    return {result.url.removeprefix(url + "/"): result.verdict.status for result in results}


def test_local(tmp_path: Path) -> None:
    assert _verdicts(put_local(tmp_path, FILES)) == VERDICTS


def test_file_address(tmp_path: Path) -> None:
    put_local(tmp_path, FILES)
    results = list(scan(f"file://{tmp_path}"))
    assert {result.url for result in results} == {f"{tmp_path}/{name}" for name in VERDICTS}


def test_memory() -> None:
    assert _verdicts(put_memory(FILES)) == VERDICTS


def test_s3(s3_server: S3Server) -> None:
    bucket = s3_server.bucket(FILES)
    assert _verdicts(f"s3://{bucket}", storage_options=s3_server.options) == VERDICTS


@pytest.mark.parametrize("ranges", [True, False])
def test_http(tmp_path: Path, ranges: bool) -> None:  # noqa: FBT001 - a parameter of the test
    put_local(tmp_path, FILES)
    with WebServer(tmp_path, ranges=ranges) as site:
        assert _verdicts(site.url) == VERDICTS


def test_facts_of_neighbours_are_the_same_everywhere(tmp_path: Path, s3_server: S3Server) -> None:
    bucket = s3_server.bucket(FILES)
    put_local(tmp_path, FILES)
    with WebServer(tmp_path) as site:
        for url, options in (
            (str(tmp_path), {}),
            (put_memory(FILES), {}),
            (f"s3://{bucket}", s3_server.options),
            (site.url, {}),
        ):
            for address in (f"{url}/b", f"{url}/b/model.safetensors"):
                (result,) = scan(address, storage_options=options)
                assert result.sbom.architecture == "mistral", address
                assert result.license_spdx == "MIT", address


def test_a_file_of_another_name_is_examined_when_it_is_named(tmp_path: Path) -> None:
    put_local(tmp_path, {"weights.bin": GGUF, "b/notes.txt": b"hello, these are notes"})
    (result,) = scan(str(tmp_path / "weights.bin"))
    assert (result.passed, result.findings) == (True, ())
    assert result.sbom.format == "gguf"
    (result,) = scan(str(tmp_path / "b" / "notes.txt"))
    assert [finding.code for finding in result.findings] == ["sbom/not-a-model"]


def test_an_empty_folder_gives_nothing(tmp_path: Path) -> None:
    assert list(scan(str(tmp_path))) == []


def test_a_missing_root_raises(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        list(scan(str(tmp_path / "nowhere")))
    assert caught.value.code == "storage/not-found"


def test_what_may_not_be_read_costs_nothing_else(tmp_path: Path) -> None:
    put_local(tmp_path, FILES | {"closed/x.gguf": GGUF})
    (tmp_path / "closed").chmod(0)
    (tmp_path / "a/model.gguf").chmod(0)
    done = run_unprivileged("scan", str(tmp_path), "--format", "report")
    (tmp_path / "closed").chmod(0o755)
    verdicts = {
        entry["url"].removeprefix(f"{tmp_path}/"): entry["verdict"]["status"]
        for entry in json.loads(done.stdout)["artifacts"]
    }
    assert verdicts == VERDICTS | {"closed": "unknown", "a/model.gguf": "unknown"}


def test_an_object_deleted_between_listing_and_reading(s3_server: S3Server) -> None:
    bucket = s3_server.bucket({f"{number}.safetensors": SAFETENSORS for number in range(3)})
    results = scan(f"s3://{bucket}", storage_options=s3_server.options, concurrency=1)
    first = next(results)
    assert first.passed
    s3_server.client().delete_object(Bucket=bucket, Key="2.safetensors")
    rest = list(results)
    assert [result.verdict.status for result in rest] == ["passed", "unknown"]
    assert [finding.code for finding in rest[1].findings] == ["storage/not-found"]


def test_closed_objects_are_unknown_and_the_rest_is_complete(tmp_path: Path) -> None:
    put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": GGUF, "c.gguf": GGUF})
    with WebServer(tmp_path) as site:
        site.status["/b.gguf"] = 403
        verdicts = _verdicts(site.url)
    assert verdicts == {"a.gguf": "passed", "b.gguf": "unknown", "c.gguf": "passed"}


def test_results_come_in_the_order_of_the_listing(s3_server: S3Server) -> None:
    names = [f"{number:03}.safetensors" for number in range(60)]
    bucket = s3_server.bucket(dict.fromkeys(names, SAFETENSORS))
    results = scan(f"s3://{bucket}", storage_options=s3_server.options, concurrency=7)
    assert [result.sbom.model_filename for result in results] == names


def test_a_scan_runs_inside_another_running_loop(s3_server: S3Server) -> None:
    bucket = s3_server.bucket({"x.safetensors": SAFETENSORS})

    async def inside() -> int:
        return len(list(scan(f"s3://{bucket}", storage_options=s3_server.options)))

    assert asyncio.run(inside()) == 1


def test_scans_run_in_several_threads_at_once(s3_server: S3Server) -> None:
    bucket = s3_server.bucket({f"{number}.safetensors": SAFETENSORS for number in range(10)})
    counts: list[int] = []

    def work() -> None:
        counts.append(
            len(list(scan(f"s3://{bucket}", storage_options=s3_server.options, concurrency=3)))
        )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [10] * 4


def test_the_policy_judges(tmp_path: Path) -> None:
    url = put_local(tmp_path, {"m.gguf": GGUF})
    (result,) = scan(url, policy=Policy(allowed_formats=("safetensors",)))
    assert result.verdict.status == "failed"


def test_names_in_no_encoding_and_with_control_characters(tmp_path: Path) -> None:
    for name in (b"\xff\xfe.gguf", b"line\nbreak.gguf", b"\x1b[31m.gguf"):
        path = os.path.join(os.fsencode(tmp_path), name)
        with open(path, "wb") as file:
            file.write(GGUF)
    results = list(scan(str(tmp_path)))
    assert len(results) == 3
    assert all(result.passed for result in results)


def test_a_scan_has_a_name_that_sorts_by_time_and_no_secrets() -> None:
    first = new_scan("https://user:hunter2@host/m?sig=hunter2", Policy())
    second = new_scan("/m", Policy())
    assert first.id < second.id
    assert first.source == "https://host/m"


def test_real_headers_in_a_bucket(real_models: Path, s3_server: S3Server) -> None:
    files = {path.name: path.read_bytes() for path in real_models.glob("*.gguf")}
    bucket = s3_server.bucket(files)
    remote = {
        result.sbom.model_filename: result
        for result in scan(f"s3://{bucket}", storage_options=s3_server.options)
    }
    assert set(remote) == set(files)
    for result in scan(str(real_models)):
        other = remote[result.sbom.model_filename]
        assert other.passed
        assert other.sbom.metadata == result.sbom.metadata
        assert other.header_sha256 == result.header_sha256
        assert other.requests <= 3
