"""What was signed is what is there: changes to signed models, held against OpenSSF's own verifier.

Whatever ``model_signing verify`` refuses is refused here too, but for files that nobody signed,
that no loader takes and that cannot run.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_mutagen.scanner import ArtifactRejected, Policy, verify
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.policy.policy import SeverityChange
from tests.builders import gguf
from tests.certificates import public_pem
from tests.scanner.examine.shard_builders import shard
from tests.scanner.storing import put_local
from tests.servers import S3Server
from tests.signed_models import (
    KEY,
    LARGE,
    POLICY,
    SHARDS,
    STRANGER,
    is_refused,
    model_files,
    oracle_refuses,
    pipeline_files,
    results_of,
    sign_folder,
)
from tests.signing import sha256


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    root = put_local(tmp_path / "m", model_files())
    sign_folder(root)
    return Path(root)


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    root = put_local(tmp_path / "p", pipeline_files())
    sign_folder(root)
    return Path(root)


Change = Callable[[Path], object]


def _write(name: str, data: bytes = b"x") -> Change:
    return lambda root: put_local(root, {name: data})


def _remove(name: str) -> Change:
    return lambda root: (root / name).unlink()


def _rename(name: str, other: str) -> Change:
    return lambda root: (root / name).rename(root / other)


def _exchange(name: str, other: str) -> Change:
    def exchange(root: Path) -> None:
        (root / name).rename(root / "kept")
        (root / other).rename(root / name)
        (root / "kept").rename(root / other)

    return exchange


def _end_of_large(root: Path) -> None:
    """Change a large file where nobody reads it, with size and time as they were."""
    path = root / "tokenizer.json"
    path.write_bytes(LARGE[:-2] + b"\t}")


def _link(root: Path, name: str) -> None:
    put_local(root.parent / "elsewhere", {"x.py": b"import os\n"})
    (root / name).symlink_to(root.parent / "elsewhere")


def _pipe(root: Path) -> None:
    (root / "images/logo.png").unlink()
    os.mkfifo(root / "images/logo.png")


CHANGES: dict[str, Change] = {
    "code replaced": _write("modeling_x.py", b"import os\n"),
    "imported code replaced": _write("configuration_x.py", b"import os\n"),
    "custom generation replaced": _write("custom_generate/generate.py", b"import os\n"),
    "a script that nothing loads replaced": _write("tools/convert.py", b"import os\n"),
    "tokenizer replaced": _write("tokenizer.json", b"{}"),
    "tokenizer changed behind what is read": _end_of_large,
    "tokenizer's configuration replaced": _write("tokenizer_config.json", b"{}"),
    "template replaced": _write("chat_template.jinja", b"{{ messages }}"),
    "configuration replaced": _write("config.json", b"{}"),
    "generation's configuration replaced": _write("generation_config.json", b'{"x": 1}'),
    "card replaced": _write("README.md", b"---\nlicense: mit\n---\nother"),
    "licence replaced": _write("LICENSE", b"Apache License"),
    "picture replaced": _write("images/logo.png", b"GIF"),
    "results replaced": _write("eval/results.json", b'{"accuracy": 1}'),
    "index replaced": _write("model.safetensors.index.json", b'{"weight_map": {}}'),
    "shard replaced": _write(SHARDS[1], shard("t.other")),
    "configuration removed": _remove("config.json"),
    "code removed": _remove("modeling_x.py"),
    "template removed": _remove("chat_template.jinja"),
    "tokenizer removed": _remove("tokenizer.json"),
    "card removed": _remove("README.md"),
    "picture removed": _remove("images/logo.png"),
    "shard removed": _remove(SHARDS[1]),
    "index removed": _remove("model.safetensors.index.json"),
    "pickle added": _write("pytorch_model.bin"),
    "pickle added in a folder": _write("extra/weights.pkl"),
    "module added": _write("sitecustomize.py", b"import os\n"),
    "module added in a folder": _write("lib/x.py", b"import os\n"),
    "shell script added": _write("setup.sh", b"#!/bin/sh\n"),
    "script without an ending added": _write("run", b"#!/bin/sh\n"),
    "shared library added": _write("kernels/libx.so", b"\x7fELF"),
    "shared library with a version added": _write("libx.so.1.2", b"\x7fELF"),
    "Windows library added": _write("x.pyd", b"MZ"),
    "bytecode added": _write("__pycache__/modeling_x.cpython-311.pyc", b"\xa7\r\r\n"),
    "archive of modules added": _write("x.pyz", b"PK\x03\x04"),
    "notebook added": _write("demo.ipynb", b"{}"),
    "hidden script added": _write(".hidden/x.sh", b"#!/bin/sh\n"),
    "template added": _write("chat_template.json", b'{"chat_template": "{{ messages }}"}'),
    "named template added": _write("additional_chat_templates/tool.jinja", b"{{ messages }}"),
    "vocabulary added": _write("added_tokens.json", b"{}"),
    "processor's configuration added": _write("preprocessor_config.json", b"{}"),
    "weights added": _write("model.safetensors", shard("t.other")),
    "adapter added": lambda root: put_local(
        root, {"adapter_config.json": b"{}", "adapter_model.safetensors": shard("t.other")}
    ),
    "shards exchanged": _exchange(*SHARDS),
    "modules exchanged": _exchange("modeling_x.py", "configuration_x.py"),
    "configurations exchanged": _exchange("generation_config.json", "tokenizer_config.json"),
    "picture renamed": _rename("images/logo.png", "images/other.png"),
    "code in other letters": _rename("modeling_x.py", "Modeling_x.py"),
    "card in other letters": _rename("README.md", "readme.md"),
    "a folder moved": _rename("tools", "scripts"),
    "link to a folder of code": lambda root: _link(root, "lib"),
    "link to a folder, named like a text": lambda root: _link(root, "notes.txt"),
    "dangling link": lambda root: (root / "x").symlink_to(root / "gone"),
    "picture that is a pipe": _pipe,
    "signed anew by a stranger": lambda root: sign_folder(str(root), STRANGER),
    "signature of another model": lambda root: shutil.copy(_other(root), root / "model.sig"),
    "signature removed": _remove("model.sig"),
    "signature cut": lambda root: _cut(root / "model.sig"),
}


def _other(root: Path) -> str:
    other = put_local(root.parent / "other", {"m.gguf": gguf().data})
    sign_folder(other)
    return f"{other}/model.sig"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    "change", CHANGES.values(), ids=[name.replace(" ", "-") for name in CHANGES]
)
def test_what_the_reference_refuses_is_refused(signed: Path, change: Change) -> None:
    change(signed)
    assert oracle_refuses(str(signed))
    assert is_refused(str(signed))


def _sign_part(root: Path) -> None:
    sign_folder(str(root / "unet"))
    (root / "unet/model.sig").rename(root / "model.sig")


OF_PIPELINES: dict[str, Change] = {
    "index replaced": _write("model_index.json", b'{"_class_name": "Other"}'),
    "scheduler replaced": _write("scheduler/scheduler_config.json", b"{}"),
    "part replaced": _write("unet/diffusion_pytorch_model.safetensors", shard("other")),
    "parts exchanged": _exchange(
        "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"
    ),
    "configuration removed": _remove("vae/config.json"),
    "pipeline's code added": _write("pipeline.py", b"import os\n"),
    "part's code added": _write("unet/my_unet.py", b"import os\n"),
    "pickle added to a part": _write("vae/diffusion_pytorch_model.bin"),
    "part's signature moved up": _sign_part,
}


@pytest.mark.parametrize(
    "change", OF_PIPELINES.values(), ids=[name.replace(" ", "-") for name in OF_PIPELINES]
)
def test_a_pipeline_is_held_against_the_signature_of_its_root(
    pipeline: Path, change: Change
) -> None:
    change(pipeline)
    assert oracle_refuses(str(pipeline))
    assert is_refused(str(pipeline))


HONEST: dict[str, tuple[Change, bool]] = {
    "as it was signed": (lambda _: None, False),
    "with a checkout of git": (_write(".git/hooks/pre-commit.sample", b"#!/bin/sh\n"), False),
    "with git's attributes": (_write(".gitattributes", b"*.safetensors filter=lfs\n"), False),
    "signed twice": (lambda root: sign_folder(str(root)), False),
    "a picture added": (_write("images/more.png", b"\x89PNG"), True),
    "notes added": (_write("notes.txt", b"good"), True),
    "results added": (_write("eval/more.json", b"{}"), True),
    "a log added": (_write("train.log", b"loss 1.0"), True),
    "fetched by the hub's client": (
        lambda root: put_local(
            root,
            {
                ".cache/huggingface/.gitignore": b"*",
                ".cache/huggingface/CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55",
                ".cache/huggingface/download/config.json.metadata": b"abc\n",
                ".cache/huggingface/download/config.json.lock": b"",
            },
        ),
        True,
    ),
    "a checksum file added": (
        lambda root: put_local(
            root,
            {"SHA256SUMS": f"{sha256((root / 'config.json').read_bytes())}  config.json".encode()},
        ),
        True,
    ),
}


@pytest.mark.parametrize(
    ("change", "refused_there"), HONEST.values(), ids=[name.replace(" ", "-") for name in HONEST]
)
@pytest.mark.parametrize("kind", ["signed", "pipeline"])
def test_honest_models_pass(
    request: pytest.FixtureRequest,
    kind: str,
    change: Change,
    refused_there: bool,  # noqa: FBT001 - a column of the table
) -> None:
    root: Path = request.getfixturevalue(kind)
    if kind == "pipeline":
        put_local(root, {"config.json": b"{}"})
        sign_folder(str(root))
    change(root)
    assert oracle_refuses(str(root)) == refused_there
    assert not is_refused(str(root))
    (only,) = results_of(str(root))
    assert verify(str(root), only.pin, policy=POLICY).pin == only.pin
    for result in results_of(str(root)):
        codes = {finding.code for finding in result.findings if finding.severity == "error"}
        assert not codes
        assert "signature/verified" in {finding.code for finding in result.findings}


IGNORED: dict[str, tuple[str, Change, bool]] = {
    "a template that loaders render": (
        "chat_template.jinja",
        _write("chat_template.jinja", b"{{ messages }}"),
        True,
    ),
    "a tokenizer": ("tokenizer.json", _write("tokenizer.json", b"{}"), True),
    "code that is loaded": ("modeling_x.py", _write("modeling_x.py", b"import os\n"), True),
    "a folder that nothing loads": ("tools", _write("tools/convert.py", b"import os\n"), False),
    "pictures": ("images", _write("images/logo.png", b"GIF"), False),
}


@pytest.mark.parametrize(
    ("ignored", "change", "refused"),
    IGNORED.values(),
    ids=[name.replace(" ", "-") for name in IGNORED],
)
def test_what_a_statement_ignores_counts_if_it_is_loaded(
    signed: Path,
    ignored: str,
    change: Change,
    refused: bool,  # noqa: FBT001 - a column of the table
) -> None:
    sign_folder(str(signed), ignored=[ignored])
    change(signed)
    assert not oracle_refuses(str(signed))
    assert is_refused(str(signed)) == refused


def test_weights_below_the_signed_root_are_held_against_its_signature(tmp_path: Path) -> None:
    files = {"README.md": b"# Card\n", "q4/m.gguf": gguf().data, "q8/m.gguf": gguf().data}
    root = put_local(tmp_path / "m", files)
    sign_folder(root)
    assert not is_refused(root)
    assert verify(f"{root}/q4/m.gguf", policy=POLICY).passed
    by_scan = {result.url: result.pin for result in results_of(root)}
    for name in ("q4/m.gguf", "q8/m.gguf"):
        url = f"{root}/{name}"
        assert verify(url, by_scan[url], policy=POLICY).pin == by_scan[url]
    put_local(Path(root), {"README.md": b"# Another\n"})
    assert is_refused(root)
    with pytest.raises(ArtifactRejected, match="README"):
        verify(f"{root}/q4/m.gguf", policy=POLICY)


def test_storage_elsewhere_is_held_against_it_too(s3_server: S3Server, signed: Path) -> None:
    def stored() -> dict[str, bytes]:
        paths = (path for path in signed.rglob("*") if path.is_file())
        return {str(path.relative_to(signed)): path.read_bytes() for path in paths}

    options = s3_server.options
    url = f"s3://{s3_server.bucket(stored())}"
    assert verify(url, policy=POLICY, storage_options=options).passed
    for change in (_write("setup.sh", b"#!/bin/sh\n"), _end_of_large, _remove("LICENSE")):
        change(signed)
        url = f"s3://{s3_server.bucket(stored())}"
        with pytest.raises(ArtifactRejected):
            verify(url, policy=POLICY, storage_options=options)
        put_local(signed, model_files())


@pytest.mark.parametrize("change", ["code replaced", "pickle added", "configuration removed"])
def test_severities_open_no_way_around(signed: Path, change: str) -> None:
    CHANGES[change](signed)
    severities = (SeverityChange("signature/*", "info"), SeverityChange("set/*", "info"))
    lenient = Policy(allowed_signers=POLICY.allowed_signers, severities=severities)
    for result in results_of(str(signed), lenient):
        assert "policy/signer" in {reason.code for reason in result.verdict.reasons}


@pytest.mark.parametrize("change", ["code replaced", "picture removed", "module added"])
def test_a_required_signature_is_held_against_the_folder(signed: Path, change: str) -> None:
    required = Policy(require_signature=True)
    assert not is_refused(str(signed), required)
    CHANGES[change](signed)
    assert is_refused(str(signed), required)


@pytest.mark.parametrize("change", ["picture replaced", "shell script added", "picture removed"])
def test_a_later_scan_sees_what_no_pin_holds(signed: Path, tmp_path: Path, change: str) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"allowed_signers": [{"public_key": public_pem(KEY)}]}))
    words = ["scan", str(signed), "--hash", "full", "--policy", str(policy)]
    words += ["--table", str(tmp_path / "table"), "--format", "report"]

    def scanned() -> tuple[int, int]:
        output = tmp_path / "report.json"
        status = main([*words, "--output", str(output)])
        return status, json.loads(output.read_text())["summary"]["bytes_read"]

    status, read = scanned()
    assert (status, read > 0) == (0, True)
    assert scanned() == (0, 0)
    CHANGES[change](signed)
    assert scanned()[0] == 1
