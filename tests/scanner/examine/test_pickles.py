"""A pickle that is scanned by its address is judged by its globals, from a few ranged reads."""

import io
import zipfile
from collections.abc import Iterator

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from tests.builders import gguf
from tests.parsers.pickle_builders import PAYLOAD, PROTO2, state_dict, torch_zip
from tests.scanner.storing import ENGINES, choose_engine
from tests.synthetic_contents import Written
from tests.synthetic_s3 import SyntheticS3

HARMLESS = PROTO2 + b"}."
HOSTILE = PROTO2 + PAYLOAD + b"."
BROKEN = PROTO2 + b"}(X"
MODEL = gguf(tensors=(("a.weight", (32, 8), 0),)).data


def _torch(stream: bytes) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr("archive/data.pkl", stream)
        archive.writestr("archive/version", "3\n")
    return into.getvalue()


@pytest.fixture(params=ENGINES)
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SyntheticS3]:
    choose_engine(monkeypatch, request.param)
    with SyntheticS3() as started:
        yield started


def _scan(
    server: SyntheticS3, data: bytes, name: str = "m.bin", policy: Policy | None = None
) -> ScanResult:
    server.content = Written({name: data})
    (result,) = scan(f"s3://b/{name}", policy=policy or Policy(), storage_options=server.options)
    return result


@pytest.mark.parametrize(
    ("data", "form", "status", "code"),
    [
        pytest.param(HARMLESS, "pickle", "passed", "", id="harmless"),
        pytest.param(HOSTILE, "pickle", "failed", "pickle/forbidden-global", id="hostile"),
        pytest.param(BROKEN, "pickle", "unknown", "pickle/unreadable", id="broken"),
        pytest.param(
            PROTO2 + PAYLOAD + b"(X", "pickle", "failed", "pickle/forbidden-global", id="both"
        ),
        pytest.param(_torch(HARMLESS), "pytorch", "passed", "", id="torch"),
        pytest.param(
            _torch(HOSTILE), "pytorch", "failed", "pickle/forbidden-global", id="hostile-torch"
        ),
        pytest.param(MODEL, "gguf", "passed", "", id="another-format-by-content"),
    ],
)
def test_content_decides(
    server: SyntheticS3, data: bytes, form: str, status: str, code: str
) -> None:
    result = _scan(server, data)
    codes = {reason.code for reason in result.verdict.reasons}
    assert (result.sbom.format, result.verdict.status) == (form, status), codes
    assert (code in codes) if code else not codes


def test_large_torch_archive_takes_few_requests(server: SyntheticS3) -> None:
    shapes = {f"layers.{number}.weight": (64, 2) for number in range(2000)}
    storages = {str(number): bytes(512) for number in range(2000)}
    result = _scan(server, torch_zip(state_dict(shapes), storages))
    assert (result.verdict.status, result.sbom.parameter_count) == ("passed", 2000 * 128)
    assert result.sbom.format == "pytorch"
    assert result.requests <= 3
    assert result.bytes_read <= 1 << 20


def test_globals_are_named(server: SyntheticS3) -> None:
    result = _scan(server, _torch(HOSTILE))
    assert any("system" in name for name in result.sbom.metadata["globals"])


def test_format_can_be_refused(server: SyntheticS3) -> None:
    result = _scan(server, HARMLESS, policy=Policy(allowed_formats=("safetensors",)))
    assert [reason.code for reason in result.verdict.reasons] == ["policy/format"]
