"""Attempts to hide a statement from a rule by making its file unreadable.

Each runs through `scan` on files as an uploader may put them. Beside the attempts stand honest
models that are written much alike: they pass, without an alarm.
"""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, scan
from tests.builders import gguf, weights
from tests.processes import run_unprivileged
from tests.redteam.models import WEIGHTS, card, codes_of, model, scan_one
from tests.scanner.storing import put_local
from tests.servers import S3Server, WebServer

NC = "cc-by-nc-4.0"
DENYING = Policy(denied_licenses=("cc-by-nc-*",))
ONE_LOADER = Policy(denied_licenses=("cc-by-nc-*",), loaders=("transformers",))
ALLOWING = Policy(allowed_licenses=("mit",))


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


def _socket(path: Path) -> None:
    where = os.getcwd()
    os.chdir(path.parent)  # its address has to be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(where)


UNREADABLE: dict[str, Callable[[Path], None]] = {
    "dangling link": lambda path: path.symlink_to(path.parent / "nowhere"),
    "link to itself": lambda path: path.symlink_to(path),
    "pipe": os.mkfifo,
    "device": _device,
    "socket": _socket,
}
LICENSE_FILES = ("README.md", "readme.md", "LICENSE", "LICENSE-MODEL.txt", "COPYING")
LOADED_FILES = (
    *("config.json", "generation_config.json", "adapter_config.json", "tokenizer_config.json"),
    *("chat_template.jinja", "chat_template.json", "processor_config.json", "modules.json"),
    "additional_chat_templates/tool.jinja",
)


def _unread(folder: Path, name: str, kind: str) -> str:
    put_local(folder, model({}))
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    UNREADABLE[kind](path)
    return str(folder)


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("name", LICENSE_FILES)
@pytest.mark.parametrize(
    "policy",
    [DENYING, ALLOWING, Policy(require_license=True), ONE_LOADER],
    ids=["denying", "allowing", "requiring", "of one loader"],
)
def test_a_licence_that_cannot_be_read_is_no_licence(
    tmp_path: Path, name: str, kind: str, policy: Policy
) -> None:
    (result,) = scan(_unread(tmp_path, name, kind), policy=policy)
    assert result.verdict.status == "unknown"
    (reason,) = result.verdict.reasons
    assert (reason.code, reason.value) == ("policy/license-unexamined", name)
    assert reason.message.startswith(f"{name} cannot be read: ")
    assert codes_of(result) == ["sbom/neighbour-unread"]


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("name", LOADED_FILES)
def test_what_a_loader_opens_and_nobody_could_read_is_unknown(
    tmp_path: Path, name: str, kind: str
) -> None:
    (result,) = scan(_unread(tmp_path, name, kind))
    assert result.verdict.status == "unknown"
    finding = next(one for one in result.findings if one.code == "sbom/unexamined")
    assert finding.field == name
    assert "opened by" in finding.message


def test_a_denied_licence_stays_denied_beside_what_cannot_be_read(tmp_path: Path) -> None:
    root = _unread(tmp_path, "LICENSE", "dangling link")
    put_local(tmp_path, {"README.md": card(f"license: {NC}")})
    (result,) = scan(root, policy=DENYING)
    assert result.verdict.status == "failed"
    assert [one.code for one in result.verdict.reasons] == ["policy/license"]


CARDS = {
    "not YAML": f"license: {NC}\n\tx: y",
    "a list": f"- license: {NC}",
    "a key that is a list": f"? [a]\n: b\nlicense: {NC}",
    "a merge key": f"<<: {{license: {NC}}}",
    "an alias of a list": f"x: &a [{NC}]\nlicense: *a",
}


@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS)
def test_a_card_that_no_rule_can_read_is_unknown(tmp_path: Path, text: str) -> None:
    files = model({"README.md": card(text)}, license="mit")
    assert scan_one(tmp_path, files, DENYING).verdict.status == "unknown"


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "config.json", "chat_template.jinja"])
def test_a_file_without_permission_is_unknown(tmp_path: Path, name: str) -> None:
    put_local(tmp_path, {f"root/{one}": data for one, data in model({name: b"{}"}).items()})
    (tmp_path / "root" / name).chmod(0)
    (tmp_path / "policy.yaml").write_text("denied_licenses: [cc-by-nc-*]")
    done = run_unprivileged("verify", f"{tmp_path}/root", "--policy", f"{tmp_path}/policy.yaml")
    assert done.returncode == 3, done.stderr
    assert "permission denied" in done.stderr


@pytest.mark.parametrize("status", [401, 403, 410, 500])
@pytest.mark.parametrize("name", ["README.md", "LICENSE", "config.json", "tokenizer_config.json"])
def test_a_web_server_that_refuses_a_file_hides_nothing(
    tmp_path: Path, name: str, status: int
) -> None:
    put_local(tmp_path, model({name: card(f"license: {NC}") if name[0] in "RL" else b"{}"}))
    with WebServer(tmp_path) as site:
        site.status[f"/{name}"] = status
        (result,) = scan(f"{site.url}/model.safetensors", policy=DENYING)
    expected = "passed" if status == 410 else "unknown"
    assert result.verdict.status == expected, result.findings


@pytest.mark.parametrize(
    ("name", "data"),
    [("LICENSE", b"x" * (1 << 19)), ("README.md", b"---\nx: " + b"x" * (5 << 20))],
    ids=["licence file", "card"],
)
@pytest.mark.parametrize("loader", ["llama.cpp", "ollama"])
def test_a_licence_beyond_the_limits_counts_for_loaders_that_do_not_open_it(
    tmp_path: Path, name: str, data: bytes, loader: Any
) -> None:
    files = {"m.gguf": gguf().data, name: data}
    policy = Policy(denied_licenses=("cc-by-nc-*",), loaders=(loader,))
    result = scan_one(tmp_path, files, policy)
    assert result.verdict.status == "unknown"
    assert [one.code for one in result.verdict.reasons] == ["policy/license-unexamined"]
    assert scan_one(tmp_path, {}, Policy(loaders=(loader,))).passed


def _pipeline(**more: bytes) -> dict[str, bytes]:
    index = {"_class_name": "P", "unet": ["diffusers", "UNet2DConditionModel"]}
    return {
        "model_index.json": json.dumps(index).encode(),
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": weights(WEIGHTS),
        **more,
    }


@pytest.mark.parametrize("name", ["README.md", "unet/LICENSE", "unet/config.json"])
def test_what_cannot_be_read_in_a_pipeline_is_unknown(tmp_path: Path, name: str) -> None:
    files = _pipeline()
    files.pop(name, None)
    put_local(tmp_path, files)
    (tmp_path / name).symlink_to("nowhere")
    (result,) = scan(str(tmp_path), policy=DENYING)
    assert result.verdict.status == "unknown"


def test_an_archived_card_in_a_bucket_is_unknown(s3_server: S3Server) -> None:
    bucket = s3_server.bucket(model({}))
    s3_server.client().put_object(
        Bucket=bucket, Key="README.md", Body=card(f"license: {NC}"), StorageClass="GLACIER"
    )
    (result,) = scan(f"s3://{bucket}", policy=DENYING, storage_options=s3_server.options)
    assert [one.code for one in result.verdict.reasons] == ["policy/license-unexamined"]
    assert result.verdict.status == "unknown"


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "notes.txt", "m.sha256"])
def test_without_a_rule_about_it_an_unread_file_is_a_warning(tmp_path: Path, name: str) -> None:
    (result,) = scan(_unread(tmp_path, name, "dangling link"))
    assert result.passed
    assert codes_of(result) == ["sbom/neighbour-unread"] * (name != "notes.txt")


def test_a_link_that_leads_to_a_card_is_read(tmp_path: Path) -> None:
    put_local(tmp_path, {"blobs/1": card("license: mit"), "m/model.safetensors": weights(WEIGHTS)})
    (tmp_path / "m/README.md").symlink_to("../blobs/1")
    (result,) = scan(str(tmp_path / "m"), policy=ALLOWING)
    assert result.passed
    assert result.findings == ()
