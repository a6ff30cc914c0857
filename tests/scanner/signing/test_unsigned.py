import pytest

from prefect_mutagen.scanner.signing.unsigned import could_run, is_exempt


@pytest.mark.parametrize(
    "path",
    [
        "modeling_x.py",
        "X.PY",
        "pytorch_model.bin",
        "a/b/weights.pkl",
        "model.onnx",
        "setup.sh",
        "run",
        "Makefile",
        "Dockerfile",
        "libx.so",
        "libx.so.1.2",
        "x.pyd",
        "x.dll",
        "x.dylib",
        "x.exe",
        "x.jar",
        "x.whl",
        "x.pyc",
        "x.ipynb",
        "x.js",
        "x.svg",
        "x.html",
        "notes.txt.sh",
        "notes.txt\n.sh",
        ".bashrc",
        "x.unknown",
        "README.sh",
    ],
)
def test_what_could_run(path: str) -> None:
    assert could_run(path)


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "LICENSE",
        "NOTICE",
        "CITATION.cff",
        "images/logo.PNG",
        "notes.txt",
        "results.json",
        "train.log",
        "data.parquet",
        "events.out.tfevents.1690000000.host.1.0",
        ".gitattributes",
        "config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "model.safetensors",
        "m.gguf",
        "SHA256SUMS",
        "model.sig",
        "x.intoto.jsonl",
    ],
)
def test_what_cannot_run(path: str) -> None:
    assert not could_run(path)


@pytest.mark.parametrize(
    ("path", "ignored", "exempt"),
    [
        (".git/hooks/x", [".git"], True),
        (".git/hooks/x", ["./.git/"], True),
        (".gitignore", [".git"], False),
        ("a/b", ["a/b"], True),
        ("a/b", ["b"], False),
        ("a/b", [".", "", "./"], False),
        ("a/b", [], False),
    ],
)
def test_what_a_statement_leaves_out(path: str, ignored: list[str], exempt: bool) -> None:  # noqa: FBT001 - a column
    assert is_exempt(path, ignored) == exempt
