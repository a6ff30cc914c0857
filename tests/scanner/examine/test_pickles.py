"""A pickle that is scanned by its address is judged by its globals, from a few ranged reads."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.commands.cli import main
from tests.builders import gguf
from tests.parsers.pickle_builders import PAYLOAD, PROTO2, state_dict, torch_zip
from tests.scanner.examine.shard_builders import shard
from tests.scanner.storing import ENGINES, choose_engine, put_local
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


SHARDS = {
    f"pytorch_model-0000{number}-of-00003.bin": torch_zip(
        state_dict({f"w{number}": (4, 2)}), {"0": bytes(32)}
    )
    for number in (1, 2, 3)
}


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        pytest.param({}, "passed", "", id="whole"),
        pytest.param({list(SHARDS)[1]: None}, "failed", "set/missing-shard", id="missing"),
        pytest.param({list(SHARDS)[2]: HOSTILE}, "failed", "pickle/forbidden-global", id="hostile"),
        pytest.param({list(SHARDS)[2]: BROKEN}, "unknown", "pickle/unreadable", id="broken"),
    ],
)
def test_numbered_pickles_are_a_set(
    changed: dict[str, bytes | None], status: str, code: str, tmp_path: Path
) -> None:
    files = SHARDS | {"config.json": b'{"model_type": "bert"}'} | changed
    put_local(tmp_path, {name: data for name, data in files.items() if data is not None})
    (result,) = scan(str(tmp_path))
    assert (result.kind, result.verdict.status) == ("set", status), result.findings
    assert {reason.code for reason in result.verdict.reasons} == ({code} if code else set())
    assert result.sbom.parameter_count == (None if code else 24)


def test_what_a_loader_takes_is_judged_with_the_model(tmp_path: Path) -> None:
    """An adapter that is a pickle, over weights that are not."""
    files = {
        "model.safetensors": shard("a"),
        "config.json": b'{"model_type": "bert"}',
        "adapter_config.json": b'{"peft_type": "LORA"}',
        "adapter_model.bin": _torch(HOSTILE),
    }
    (result,) = scan(put_local(tmp_path, files))
    assert result.verdict.status == "failed"
    assert "pickle/forbidden-global" in {reason.code for reason in result.verdict.reasons}
    (result,) = scan(put_local(tmp_path, {"adapter_model.bin": _torch(HARMLESS)}))
    assert result.passed


def test_what_no_loader_takes_is_named_with_its_globals(tmp_path: Path) -> None:
    files = {"model.safetensors": shard("a"), "config.json": b"{}", "training_args.bin": HOSTILE}
    (result,) = scan(put_local(tmp_path, files))
    assert result.passed
    (finding,) = [one for one in result.findings if one.code == "pickle/beside"]
    assert "'os.system' (byte 2)" in finding.message
    assert finding.url.endswith("/training_args.bin")
    (refused,) = scan(str(tmp_path), policy=Policy(fail_on="warning"))
    assert refused.verdict.status == "failed"


def test_names_that_a_policy_trusts_count_at_the_next_scan_of_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, table = put_local(tmp_path / "r", {"m.pkl": HOSTILE}), str(tmp_path / "t")
    policy = tmp_path / "policy.yaml"
    for names, status in ((["os.path.join"], 1), (["os.system"], 0), (["os.path.join"], 1)):
        policy.write_text(f"allowed_globals: {names}\n")
        assert main(["scan", root, "--table", table, "--policy", str(policy)]) == status
    capsys.readouterr()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "pickle/empty-file", id="empty"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
            "pickle/lfs-pointer",
            id="pointer",
        ),
        pytest.param(b"<html>no</html>", "pickle/web-page", id="page"),
        pytest.param(b"\x01\xfe" * 40, "pickle/bad-magic", id="noise"),
    ],
)
def test_what_stands_in_the_place_of_a_pickle_is_named(
    data: bytes, code: str, tmp_path: Path
) -> None:
    (result,) = scan(put_local(tmp_path, {"pytorch_model.bin": data}))
    assert [reason.code for reason in result.verdict.reasons] == [code]
    assert result.verdict.status == "failed"


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no module\.name: 'system'"):
        Policy(allowed_globals=("system",))
