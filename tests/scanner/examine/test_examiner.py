"""The examination without any storage: replies are made up, storage errors are thrown in."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.listing.artifacts import Artifact, Beside
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.requests import (
    Cost,
    Digest,
    Find,
    LookUp,
    Read,
    Request,
)
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, RangeReply, StoredObject
from tests.builders import ARRAY, STRING, gguf, safetensors
from tests.parsers.safetensors_cases import GOOD

SMALL = safetensors('{"a":%s}' % GOOD, 4)
LARGE = gguf((("tokens", ARRAY, (STRING, ["token"] * 400_000)),)).data


def _artifact(
    data: bytes, name: str = "m.safetensors", *, neighbours: tuple[str, ...] = (), **known: Any
) -> Artifact:
    fields: dict[str, Any] = {"size": len(data), "pin": "etag:1"} | known
    item = StoredObject(f"s3://b/{name}", **fields)
    beside = tuple(StoredObject(f"s3://b/{beside}", 2, "etag:n") for beside in neighbours)
    return Artifact(item.url, (item,), Beside(beside))


def _drive(
    artifact: Artifact,
    data: bytes,
    *,
    policy: Policy | None = None,
    level: HashLevel = "stored",
    answer: Callable[[Request, int], Any] | None = None,
) -> tuple[ScanResult, list[Request]]:
    """Answer requests from one file's bytes; ``answer`` may give something else, or raise."""
    asked: list[Request] = []
    examination = Examiner(policy or Policy(), level).examine(artifact)
    try:
        request = next(examination)
        while True:
            if not isinstance(request, Digest):
                asked.append(request)
            try:
                reply = answer(request, len(asked)) if answer else None
                if reply is None:
                    reply = _reply(request, data)
            except StorageError as problem:
                request = examination.throw(problem)
            else:
                request = examination.send(reply)
    except StopIteration as stop:
        return stop.value, asked


def _reply(request: Request, data: bytes) -> Any:
    if isinstance(request, Find):
        return StoredObject(request.url, len(data), "etag:2")
    if isinstance(request, LookUp):
        return "cd" * 32
    if isinstance(request, Digest):
        request.digest.update(request.data)
        return None
    assert isinstance(request, Read)
    if not request.item.url.endswith((".gguf", ".safetensors")):
        return RangeReply(b"{}", 2, "etag:n")
    return RangeReply(data[request.start : request.end], len(data), request.item.pin or "etag:r")


def test_a_small_file_takes_one_read() -> None:
    result, asked = _drive(_artifact(SMALL), SMALL)
    assert result.passed
    assert [(read.start, read.end) for read in asked if isinstance(read, Read)] == [(0, len(SMALL))]


def test_a_result_states_what_it_cost() -> None:
    cost = Cost()
    examination = Examiner().examine(_artifact(SMALL), cost)
    request = next(examination)
    cost.requests, cost.bytes_read = 3, 1000  # one reply after two requests in vain
    request = examination.send(_reply(request, SMALL))
    with pytest.raises(StopIteration) as stop:
        examination.send(_reply(request, SMALL))
    assert (stop.value.value.requests, stop.value.value.bytes_read) == (3, 1000)


def test_of_a_large_file_only_the_header_is_read_and_nothing_twice() -> None:
    data = SMALL + bytes(10_000_000)
    _, asked = _drive(_artifact(data), data)
    assert sum(read.end - read.start for read in asked if isinstance(read, Read)) == 128 << 10
    result, asked = _drive(_artifact(LARGE, "m.gguf"), LARGE)
    assert result.passed
    spans = [(read.start, read.end) for read in asked if isinstance(read, Read)]
    assert spans[0][0] == 0
    assert [start for start, _ in spans[1:]] == [end for _, end in spans[:-1]]


def test_the_header_has_a_digest_of_its_own() -> None:
    data = gguf(tensors=(("a", (1000,), 0),))
    result, _ = _drive(_artifact(data.data, "m.gguf"), data.data)
    header = data.data[: data.at("data")]
    assert result.header_sha256 == hashlib.sha256(header).hexdigest()
    large, _ = _drive(_artifact(LARGE, "m.gguf"), LARGE)
    assert large.header_sha256 == hashlib.sha256(LARGE[:-256]).hexdigest()
    none, _ = _drive(_artifact(SMALL), SMALL, level="none")
    assert none.header_sha256 == ""


def test_an_object_of_unknown_size_is_pinned_by_its_first_reply() -> None:
    artifact = _artifact(LARGE, "m.gguf", size=UNKNOWN_SIZE, pin="")
    result, asked = _drive(artifact, LARGE)
    assert result.passed
    assert result.objects[0].size == len(LARGE)
    assert result.objects[0].pin == "etag:r"
    assert result.pin.startswith("sha256:")
    assert all(read.item.pin == "etag:r" for read in asked[1:] if isinstance(read, Read))


@pytest.mark.parametrize("code", ["not-found", "denied", "timeout", "throttled", "failed"])
def test_a_storage_error_is_a_finding_and_the_verdict_unknown(code: str) -> None:
    def refuse(_request: Request, _number: int) -> Any:
        raise StorageError(f"storage/{code}", "s3://b/m.safetensors", "no")

    result, asked = _drive(_artifact(SMALL), SMALL, answer=refuse)
    assert result.verdict.status == "unknown"
    assert [finding.code for finding in result.findings] == [f"storage/{code}"]
    assert result.sbom.format == "unknown"
    assert result.sbom.warnings == ("s3://b/m.safetensors: no",)
    assert len(asked) == 1


def test_a_replaced_object_is_read_once_more_from_the_start() -> None:
    def replaced_once(_request: Request, number: int) -> Any:
        if number == 1:
            raise StorageError("storage/changed-during-scan", "s3://b/m.safetensors", "new")
        return None

    result, asked = _drive(_artifact(SMALL), SMALL, answer=replaced_once)
    assert result.passed
    assert result.objects[0].pin == "etag:2"
    assert [type(request) for request in asked] == [Read, Find, Read]


def test_an_object_that_is_replaced_again_and_again_is_unknown() -> None:
    def always(request: Request, _number: int) -> Any:
        if isinstance(request, Read):
            raise StorageError("storage/changed-during-scan", "s3://b/m.safetensors", "new")
        return None

    result, asked = _drive(_artifact(SMALL), SMALL, answer=always)
    assert result.verdict.status == "unknown"
    assert len(asked) == 3


def test_another_size_than_listed_is_another_object() -> None:
    longer = SMALL + b"x"
    result, _ = _drive(_artifact(SMALL), longer)
    assert [finding.code for finding in result.findings] == ["safetensors/trailing-data"]


def test_a_fault_in_the_listing_asks_for_nothing() -> None:
    fault = StorageError("storage/archived", "s3://b/m.safetensors", "in GLACIER")
    result, asked = _drive(_artifact(SMALL, fault=fault), SMALL)
    assert asked == []
    assert [finding.code for finding in result.findings] == ["storage/archived"]


def test_neighbours_are_read_once_for_a_folder() -> None:
    examiner = Examiner()
    asked = []
    for name in ("a.safetensors", "b.safetensors"):
        examination = examiner.examine(
            _artifact(SMALL, name, neighbours=("config.json", "README.md"))
        )
        try:
            request = next(examination)
            while True:
                asked.append(request)
                request = examination.send(_reply(request, SMALL))
        except StopIteration:
            pass
    names = [request.item.name for request in asked if isinstance(request, Read)]
    assert names == ["a.safetensors", "config.json", "README.md", "b.safetensors"]


@pytest.mark.parametrize(
    ("name", "status", "codes"),
    [
        ("README.md", "passed", ["sbom/neighbour-unread"]),
        ("config.json", "unknown", ["sbom/neighbour-unread", "sbom/unexamined"]),
    ],
)
def test_a_neighbour_that_cannot_be_read_counts_where_a_loader_opens_it(
    name: str, status: str, codes: list[str]
) -> None:
    def refuse(request: Request, _number: int) -> Any:
        if isinstance(request, Read) and request.item.name == name:
            raise StorageError("storage/denied", request.item.url, "access denied")
        return None

    result, _ = _drive(_artifact(SMALL, neighbours=(name,)), SMALL, answer=refuse)
    assert result.verdict.status == status
    assert [finding.code for finding in result.findings] == codes


@pytest.mark.parametrize(
    ("level", "known", "digest", "source"),
    [
        ("none", "ab" * 32, "", ""),
        ("stored", "", "", ""),
        ("stored", "ab" * 32, "", ""),
        ("lookup", "", "cd" * 32, "stored checksum"),
        ("lookup", "cd" * 32, "cd" * 32, "stored checksum"),
        ("full", "", hashlib.sha256(SMALL).hexdigest(), "computed"),
    ],
)
def test_hashes_cost_what_was_asked_for(
    level: HashLevel, known: str, digest: str, source: str
) -> None:
    artifact = _artifact(SMALL, sha256=known, sha256_source="blob" if known else "")
    result, _ = _drive(artifact, SMALL, level=level)
    assert (result.sbom.sha256, result.sha256_source) == (digest, source)
    notice = ("SHA256 computation skipped by request.",) if level == "none" else ()
    assert result.sbom.warnings == notice


def test_hashes_that_disagree_are_an_error() -> None:
    artifact = _artifact(SMALL, sha256="ab" * 32, sha256_source="blob")
    result, _ = _drive(artifact, SMALL, level="full")
    assert result.verdict.status == "failed"
    assert [finding.code for finding in result.findings] == ["sbom/hash-mismatch"]


def test_hashing_reads_in_pieces() -> None:
    data = safetensors(
        '{"a":{"dtype":"I8","shape":[20000000],"data_offsets":[0,20000000]}}', 20_000_000
    )
    result, asked = _drive(_artifact(data), data, level="full")
    assert result.sbom.sha256 == hashlib.sha256(data).hexdigest()
    assert max(read.end - read.start for read in asked if isinstance(read, Read)) <= 8 << 20


def test_sources_licence_and_completeness() -> None:
    data = gguf(
        (
            ("general.architecture", STRING, "llama"),
            ("general.license", STRING, "other"),
            ("general.license.name", STRING, "Own Terms"),
        )
    ).data
    result, _ = _drive(_artifact(data, "m.gguf"), data)
    assert result.sbom.license == "other"
    assert result.license_spdx == "LicenseRef-own-terms"
    assert result.sources["license"] == "gguf:general.license"
    assert set(result.sources) == {
        "architecture",
        "license",
        "parameter_count",
        "quantization",
        "dtype",
    }
    completeness = result.to_report()["completeness"]
    assert completeness == {"stated": 12, "of": 17}


def test_metadata_that_shadows_the_tools_own_facts_is_said() -> None:
    data = gguf((("general.architecture", STRING, "llama"), ("tensor_count", STRING, "lie"))).data
    result, _ = _drive(_artifact(data, "m.gguf"), data)
    assert result.sbom.metadata["tensor_count"] == 1
    assert [finding.code for finding in result.findings] == ["sbom/shadowed-key"]


def test_long_texts_are_shown_as_head_length_and_digest() -> None:
    template = "x" * 70_000
    data = gguf(
        (("general.architecture", STRING, "llama"), ("tokenizer.chat_template", STRING, template))
    ).data
    result, _ = _drive(_artifact(data, "m.gguf"), data)
    shown = result.sbom.metadata["tokenizer.chat_template"]
    assert shown["length"] == 70_000
    assert shown["head"] == template[:65536]
    assert shown["sha256"] == hashlib.sha256(template.encode()).hexdigest()
