"""Real files that say nasty things, under nasty names, through the command and each format."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from spdx_tools.spdx.model.document import Document

from prefect_mutagen.scanner.commands.cli import main
from tests.builders import ARRAY, F32, STRING, gguf
from tests.scanner.outputs.pages import front
from tests.scanner.outputs.writing import NASTY

FILES = (
    b"line\nPackageName: forged.gguf",
    b"no-encoding-\xff.gguf",
    b"NONE.gguf",
    b"<text>.gguf",
    b"Tool: x.gguf",
    b"2026-01-02T03:04:05Z.gguf",
    b"`| a | [b](c) \x1b[31m.gguf",
    b"  .gguf",
    b".gguf",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Models whose header and card say every nasty value."""
    values = [value for value in NASTY.values() if value.isascii()]
    stated = [
        ("general.architecture", STRING, NASTY["newline-tag"]),
        ("general.name", STRING, NASTY["end-of-text"]),
        ("general.license", STRING, NASTY["html"]),
        ("general.license.name", STRING, NASTY["yaml-document"]),
        ("general.tags", ARRAY, (STRING, values[:16])),
        ("nan", F32, float("nan")),
        *((f"key {number} {value[:30]}", STRING, value) for number, value in enumerate(values)),
    ]
    data = gguf(stated, ((NASTY["controls"][:40], (32,), 0), ("b", (1,), 0))).data
    for name in FILES:
        (tmp_path / os.fsdecode(name)).write_bytes(data)
    readable = [value for value in values if "\x7f" not in value]  # YAML bears no other
    card = {
        "base_model": NASTY["link"],
        "tags": readable,
        "library_name": NASTY["json"],
    }
    (tmp_path / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
    return tmp_path


@pytest.mark.parametrize("form", ["spdx", "spdx-json"])
def test_one_package_each(
    folder: Path, read_spdx: Callable[[str], Document], form: str, tmp_path: Path
) -> None:
    out = tmp_path / "sbom"
    assert main(["scan", str(folder), "--format", form, "--output", str(out)]) in (0, 1)
    document = read_spdx(out.read_text())
    models = [package for package in document.packages if package.file_name]
    assert len(models) == len(FILES)
    assert len(document.packages) == len(FILES) + 1, "the base model once"
    assert len(document.relationships) == 2 * len(FILES)
    facts = [
        one.annotation_comment for one in document.annotations if "{" in one.annotation_comment
    ]
    assert json.loads(facts[0])["metadata"]["nan"] is None


@pytest.mark.parametrize("form", ["hf-readme", "model-card"])
@pytest.mark.parametrize("name", FILES, ids=ascii)
def test_one_page(folder: Path, capsys: pytest.CaptureFixture[str], form: str, name: bytes) -> None:
    path = str(folder / os.fsdecode(name))
    assert main(["scan", path, "--format", form]) in (0, 1)
    page = capsys.readouterr().out
    page.encode()
    assert [odd for odd in page if not odd.isprintable() and odd != "\n"] == []
    assert ModelCard(page).data.to_dict() == front(page)
    assert str(folder) not in page
