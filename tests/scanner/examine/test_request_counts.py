"""What a scan says it asked for is what the server saw, and never more at a time than allowed."""

from collections.abc import Iterator

import pytest

from prefect_mutagen.scanner import ScanResult, scan
from prefect_mutagen.scanner.storage import pacing
from prefect_mutagen.scanner.storage.hashing import HashLevel
from tests.builders import STRING, gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import ENGINES, choose_engine
from tests.synthetic_contents import Written
from tests.synthetic_s3 import Fault, SyntheticS3

SMALL = safetensors('{"a":%s}' % GOOD, 4)
WORDS = [f"word {number:06}" for number in range(60_000)]
LONG = gguf((("tokenizer.ggml.tokens", 9, (STRING, WORDS)),), (("a.weight", (2 << 20,), 24),)).data
FOLDER = {f"m/{number:02}.safetensors": SMALL for number in range(40)} | {
    "m/config.json": b'{"model_type": "llama"}',
    "m/README.md": b"---\nlicense: mit\n---\n",
    "m/SHA256SUMS": b"0" * 64 + b"  other",
}
SHARDS = {f"m/model-0000{number}-of-00003.safetensors": SMALL for number in (1, 2, 3)}


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    choose_engine(monkeypatch, request.param)
    monkeypatch.setattr(pacing, "_FIRST_BACKOFF", 0.01)
    return str(request.param)


@pytest.fixture
def server() -> Iterator[SyntheticS3]:
    with SyntheticS3(latency=0.01) as started:
        yield started


def _scan(
    server: SyntheticS3, concurrency: int = 8, level: HashLevel = "stored"
) -> list[ScanResult]:
    options = server.options
    return list(scan("s3://b/m/", storage_options=options, hash=level, concurrency=concurrency))


def _seen(server: SyntheticS3) -> int:
    """Count the requests for objects; those for listings are no artifact's."""
    return server.counts.keys.total()


def _said(results: list[ScanResult]) -> int:
    return sum(result.requests for result in results)


@pytest.mark.parametrize("concurrency", [1, 8, 64])
def test_what_a_folder_has_in_common_is_counted_once(server: SyntheticS3, concurrency: int) -> None:
    server.content = Written(FOLDER)
    results = _scan(server, concurrency)
    assert all(result.passed for result in results)
    assert _said(results) == _seen(server) == 43
    assert sum(result.bytes_read for result in results) == server.counts.bytes
    assert server.counts.most_at_once <= concurrency


@pytest.mark.parametrize("fault", ["slow-down", "error", "cut", "denied"])
@pytest.mark.parametrize("times", [1, 2, 50])
def test_what_was_asked_for_in_vain_is_counted(
    server: SyntheticS3, fault: Fault, times: int
) -> None:
    server.content = Written(FOLDER)
    for name in ("m/00.safetensors", "m/39.safetensors", "m/config.json"):
        server.faults[name].extend([fault] * times)
    results = _scan(server)
    assert _said(results) == _seen(server)


@pytest.mark.parametrize("times", [0, 2, 50])
def test_lookups_are_counted(server: SyntheticS3, times: int) -> None:
    server.content = Written(FOLDER | SHARDS)
    for name in ("m/00.safetensors", "m/model-00002-of-00003.safetensors"):
        server.faults[name].extend(["fine", *["error"] * times])  # type: ignore[list-item]
    results = _scan(server, level="lookup")
    assert server.counts.requests["HEAD"] >= 43, "one for each file and shard"
    assert _said(results) == _seen(server)


def test_an_object_that_is_replaced_is_counted(server: SyntheticS3) -> None:
    server.content = Written(FOLDER)
    server.replacement = SMALL
    server.faults["m/00.safetensors"].append("replace")
    results = _scan(server)
    assert all(result.passed for result in results)
    assert server.counts.keys["m/00.safetensors"] == 3, "refused, looked up, read"
    assert _said(results) == _seen(server) == 45


@pytest.mark.parametrize("concurrency", [1, 3])
def test_headers_that_come_in_pieces_are_requests_under_way(
    server: SyntheticS3, concurrency: int
) -> None:
    server.content = Written({f"m/{number}.gguf": LONG for number in range(9)})
    server.bandwidth = 8 << 20
    results = _scan(server, concurrency)
    assert _said(results) == _seen(server) == 9
    assert server.counts.most_at_once <= concurrency


def test_shards_are_requests_under_way(server: SyntheticS3) -> None:
    server.content = Written({f"m/{n}/{key}": data for key, data in SHARDS.items() for n in "abc"})
    results = _scan(server, 2)
    assert _said(results) == _seen(server) == 9
    assert server.counts.most_at_once <= 2
