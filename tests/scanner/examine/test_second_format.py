"""What follows a model is read as far as it takes to name it, and only where something follows."""

import io
import zipfile
from collections.abc import Iterator

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from tests.builders import gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import ENGINES, choose_engine
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

MODEL = gguf(tensors=(("a.weight", (32, 8), 0),)).data
LARGE = gguf(tensors=(("a.weight", (2 << 20,), 24),)).data
TENSORS = safetensors('{"a":%s}' % GOOD, 4)


def _zipped() -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr("run.sh", "echo hello\n")
    return into.getvalue()


ZIP = _zipped()


@pytest.fixture(params=ENGINES)
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SyntheticS3]:
    choose_engine(monkeypatch, request.param)
    with SyntheticS3() as started:
        yield started


def _scan(server: SyntheticS3, data: bytes, name: str = "m.gguf", **policy: str) -> ScanResult:
    server.content = Written({name: data})
    judged = Policy(**policy) if policy else Policy()  # type: ignore[arg-type] # names of fields
    (result,) = scan(f"s3://b/{name}", policy=judged, storage_options=server.options)
    return result


def _codes(result: ScanResult) -> dict[str, str]:
    return {finding.code: finding.severity for finding in result.findings}


@pytest.mark.parametrize(
    ("data", "code", "most"),
    [
        pytest.param(MODEL + ZIP, "gguf/polyglot", 1, id="small"),
        pytest.param(LARGE + ZIP, "gguf/polyglot", 2, id="large"),
        pytest.param(LARGE + b"\x7fELF" + bytes(1 << 20), "gguf/polyglot", 3, id="long-program"),
        pytest.param(LARGE + b"x" * (1 << 20) + ZIP, "gguf/polyglot", 3, id="at-the-end"),
        pytest.param(MODEL[: -len(ZIP)] + ZIP, "gguf/polyglot", 1, id="in-the-last-tensor"),
        pytest.param(LARGE + bytes(1 << 20), "gguf/trailing-data", 3, id="zeros"),
        pytest.param(LARGE + b"A" * 5000, "gguf/trailing-data", 2, id="letters"),
    ],
)
def test_what_follows_costs_at_most_two_reads(
    server: SyntheticS3, data: bytes, code: str, most: int
) -> None:
    result = _scan(server, data)
    assert code in _codes(result)
    assert ("gguf/polyglot" in _codes(result)) == (code == "gguf/polyglot")
    assert result.requests <= most
    assert result.bytes_read < 2 << 20
    assert result.passed


@pytest.mark.parametrize(
    ("data", "name"),
    [
        pytest.param(MODEL, "m.gguf", id="small-gguf"),
        pytest.param(LARGE, "m.gguf", id="gguf"),
        pytest.param(TENSORS, "m.safetensors", id="safetensors"),
    ],
)
def test_a_sound_model_costs_one_read(server: SyntheticS3, data: bytes, name: str) -> None:
    result = _scan(server, data, name)
    assert result.requests == 1
    assert result.findings == ()


def test_a_policy_may_refuse_it(server: SyntheticS3) -> None:
    assert not _scan(server, MODEL + ZIP, fail_on="warning").passed
