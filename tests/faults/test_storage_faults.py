"""Storage that refuses, breaks off, stalls and changes: every artifact has one result, soon."""

import time
from collections.abc import Iterator

import pytest

from prefect_mutagen.scanner import ScanResult, StorageError, scan
from prefect_mutagen.scanner.storage import pacing
from tests.builders import STRING, gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import ENGINES, choose_engine
from tests.synthetic_contents import Written
from tests.synthetic_s3 import Fault, SyntheticS3

SMALL = safetensors('{"a":%s}' % GOOD, 4)


def _long_gguf(name: str) -> bytes:
    """Give a GGUF file whose header is several streamed pieces long."""
    words = [f"{name} {number:06}" for number in range(100_000)]
    return gguf(
        [("general.architecture", STRING, "llama"), ("tokenizer.ggml.tokens", 9, (STRING, words))]
    ).data


PAUSE = pacing._FIRST_BACKOFF
LONG, OTHER = _long_gguf("one"), _long_gguf("two")


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    choose_engine(monkeypatch, request.param)
    monkeypatch.setattr(pacing, "_FIRST_BACKOFF", 0.02)
    return str(request.param)


@pytest.fixture
def server() -> Iterator[SyntheticS3]:
    with SyntheticS3() as started:
        yield started


def _scan(server: SyntheticS3, **options: object) -> dict[str, ScanResult]:
    results = scan("s3://bucket/m/", storage_options=server.options, **options)  # type: ignore[arg-type]
    return {result.url.removeprefix("s3://bucket/m/"): result for result in results}


def _codes(result: ScanResult) -> list[str]:
    return [finding.code for finding in result.findings]


@pytest.mark.parametrize("fault", ["slow-down", "error", "reset", "cut", "torn"])
@pytest.mark.parametrize("data", [SMALL, LONG], ids=["safetensors", "gguf"])
def test_what_happens_once_costs_a_request_and_nothing_else(
    server: SyntheticS3, fault: Fault, data: bytes, engine: str
) -> None:
    name = "x.safetensors" if data is SMALL else "x.gguf"
    server.content = Written({f"m/{name}": data})
    server.faults[f"m/{name}"].append(fault)
    (result,) = _scan(server).values()
    assert result.passed, result.findings
    assert server.counts.keys[f"m/{name}"] == 2
    # aiohttp, below s3fs, repeats by itself what a connection was reset for, once.
    assert result.requests == (1 if (engine, fault) == ("fsspec", "reset") else 2)


def test_a_stream_that_breaks_off_goes_on_where_it_was(server: SyntheticS3) -> None:
    server.content = Written({"m/x.gguf": LONG})
    server.faults["m/x.gguf"].append("cut")
    (result,) = _scan(server).values()
    assert result.passed
    ranges = [head["range"] for head in server.heads if "range" in head]
    assert len(ranges) == 2
    first, second = (int(span.removeprefix("bytes=").partition("-")[0]) for span in ranges)
    assert first == 0
    # Half of it came; what was in the last piece, which never was complete, is asked for again.
    assert second >= len(LONG) // 4
    assert result.bytes_read <= len(LONG)


@pytest.mark.parametrize("fault", ["slow-down", "error", "reset", "cut", "torn"])
def test_what_never_ends_costs_four_requests(
    server: SyntheticS3, fault: Fault, engine: str
) -> None:
    files = {f"m/{number}.safetensors": SMALL for number in range(10)} | {"m/config.json": b"{}"}
    server.content = Written(files)
    for name in files:
        server.faults[name].extend([fault] * 50)
    results = _scan(server)
    code = "storage/throttled" if fault == "slow-down" else "storage/failed"
    if fault == "reset":
        code = _codes(results["0.safetensors"])[0]
        assert code in ("storage/failed", "storage/unreachable")
    assert [_codes(result) for result in results.values()] == [[code]] * 10
    assert all(result.verdict.status == "unknown" for result in results.values())
    each = 8 if (engine, fault) == ("fsspec", "reset") else 4
    assert set(server.counts.keys.values()) == {each}
    assert "m/config.json" not in server.counts.keys
    assert not any("hunter2" in str(result.to_report()) for result in results.values())


def test_what_is_denied_is_asked_once(server: SyntheticS3) -> None:
    server.content = Written({"m/x.safetensors": SMALL})
    server.faults["m/x.safetensors"].append("denied")
    (result,) = _scan(server).values()
    assert _codes(result) == ["storage/denied"]
    assert server.counts.keys["m/x.safetensors"] == 1


def test_fewer_requests_are_under_way_when_storage_cannot_take_more(
    server: SyntheticS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real pauses: after short ones the same artifact may be refused in four waves in a row.
    monkeypatch.setattr(pacing, "_FIRST_BACKOFF", PAUSE)
    server.content = Written({f"m/{number:03}.safetensors": SMALL for number in range(300)})
    server.latency = 0.05  # so long that 64 would be under way all the time
    # An artifact has four attempts. After three waves 8 are under way, half of what storage takes:
    # room enough for a busy machine, where the waves are longer.
    server.capacity = 16
    results = _scan(server, concurrency=64)
    assert sum(result.passed for result in results.values()) == 300
    assert server.counts.requests["STATUS-503"] <= 300


@pytest.mark.parametrize("size", [len(LONG), len(LONG) - 1000], ids=["same-size", "smaller"])
def test_an_object_replaced_between_two_requests_is_read_anew(
    server: SyntheticS3, size: int
) -> None:
    server.content = Written({"m/x.gguf": LONG})
    server.faults["m/x.gguf"].extend(["cut", "replace"])
    server.replacement = OTHER if size == len(OTHER) else _long_gguf("two")[:-1] + bytes(5)
    (result,) = _scan(server).values()
    assert result.passed, result.findings
    assert result.objects[0].pin.partition("; ")[0].endswith("-v2")
    assert result.size == len(server.replacement)


def test_an_object_that_is_replaced_all_the_time_is_said_to_change(server: SyntheticS3) -> None:
    server.content = Written({"m/x.gguf": LONG, "m/y.safetensors": SMALL})
    server.replacement = OTHER
    server.faults["m/x.gguf"].extend(["replace", "fine", "replace", "replace", "replace"])
    results = _scan(server)
    assert _codes(results["x.gguf"]) == ["storage/changed-during-scan"]
    assert results["x.gguf"].verdict.status == "unknown"
    assert results["y.safetensors"].passed


@pytest.mark.parametrize("data", [SMALL, LONG], ids=["safetensors", "gguf"])
def test_a_stalled_reply_ends_with_the_artifacts_time(
    server: SyntheticS3, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing.RetryBudget, "__init__", _short_budget)
    name = "x.safetensors" if data is SMALL else "x.gguf"
    server.content = Written({f"m/{name}": data, "m/z.safetensors": SMALL})
    server.faults[f"m/{name}"].append("stall")
    begun = time.monotonic()
    results = _scan(server)
    assert _codes(results[name]) == ["storage/timeout"]
    assert results["z.safetensors"].passed
    assert time.monotonic() - begun < 20


def _short_budget(budget: pacing.RetryBudget) -> None:
    budget.seconds, budget.retries = 3.0, 3


def test_a_listing_is_repeated_and_goes_on_where_it_was(server: SyntheticS3) -> None:
    server.content = Written({f"m/{number:02}.safetensors": SMALL for number in range(30)})
    server.page = 10
    server.faults[""].extend(["fine", "slow-down", "reset", "fine", "error"])
    assert len(_scan(server)) == 30


def test_a_listing_that_breaks_in_the_middle_loses_no_result(
    server: SyntheticS3, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "obstore":
        monkeypatch.setattr("prefect_mutagen.scanner.storage.fast._PAGE", 10)
    server.content = Written({f"m/{number:02}/x.safetensors": SMALL for number in range(30)})
    server.page = 10
    server.faults[""].extend(["fine", "fine", "denied", "denied"])
    results = scan("s3://bucket/m/", storage_options=server.options)
    found = [next(results).passed for _ in range(19)]
    assert all(found)
    with pytest.raises(StorageError) as caught:
        list(results)
    assert caught.value.code == "storage/denied"


def test_a_stream_is_left_when_the_header_has_ended(server: SyntheticS3) -> None:
    content = Written()
    content.put("m/x.gguf", LONG, size=1 << 30)
    server.content = content
    # Nothing comes after that: who waited for more would wait until the artifact's time is up.
    server.stall_after = int(1.3 * len(LONG))
    (result,) = _scan(server).values()
    assert result.requests == 2  # the header, and what follows the tensors' data
    assert [finding.code for finding in result.findings] == ["gguf/trailing-data"]
