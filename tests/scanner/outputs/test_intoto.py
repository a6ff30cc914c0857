import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.documents import documents
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.results import Summary
from tests.builders import gguf
from tests.scanner.outputs.validating import INFO, SHA256, as_set, examine, read, with_sha256, write
from tests.scanner.storing import put_local


def test_golden_inputs_are_one_valid_statement(golden_inputs: Path) -> None:
    results = examine(golden_inputs, "full")
    statement = read("intoto", write("intoto", results))
    digests = [subject["digest"]["sha256"] for subject in statement["subject"]]
    assert digests == [sbom.sha256 for sbom in documents(results)]
    for result in results:
        read("intoto", write("intoto", [result]))


def test_real_headers_are_valid(real_models: Path) -> None:
    results = [with_sha256(result) for result in examine(real_models)]
    assert len(read("intoto", write("intoto", results))["subject"]) == len(results)


def test_the_predicate_is_the_bom_of_the_subjects(tmp_path: Path) -> None:
    put_local(tmp_path, {f"{name}.gguf": gguf().data for name in "abc"})
    first, second, third = examine(tmp_path)
    results = [first, with_sha256(second), third]
    statement = read("intoto", write("intoto", results, replace(INFO, source=str(tmp_path))))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://cyclonedx.org/bom"
    assert statement["subject"] == [{"name": "b.gguf", "digest": {"sha256": SHA256}}]
    (component,) = statement["predicate"]["components"]
    assert component["name"] == "b.gguf"
    alone = json.loads(
        write("cyclonedx", [with_sha256(second)], replace(INFO, source=str(tmp_path)))
    )
    assert statement["predicate"] == alone


@pytest.mark.parametrize(
    ("url", "source", "name"),
    [
        ("/m/a.gguf", "/m", "a.gguf"),
        ("/m/x/a.gguf", "/m/", "x/a.gguf"),
        ("/m/a.gguf", "/m/a.gguf", "a.gguf"),
        ("s3://b/x/a.gguf", "s3://b", "x/a.gguf"),
        ("/m/a.gguf", "/m /n", "/m/a.gguf"),
        ("/m/caf\udce9.gguf", "/m", "file:caf%E9.gguf"),
        ("/m/x\udce9/caf%E9.gguf", "file:///m/x%E9", "caf%E9.gguf"),
        ("/m/caf\udce9.gguf", "file:///m/caf%E9.gguf", "file:caf%E9.gguf"),
        ("/m/caf\udce9.gguf", "/m /n", "file:///m/caf%E9.gguf"),
    ],
)
def test_names_of_subjects(tmp_path: Path, url: str, source: str, name: str) -> None:
    put_local(tmp_path, {"a.gguf": gguf().data})
    result = replace(with_sha256(examine(tmp_path)[0]), url=url)
    statement = read("intoto", write("intoto", [result], replace(INFO, source=source)))
    assert statement["subject"][0]["name"] == name


def test_the_shards_of_a_set_are_subjects(tmp_path: Path) -> None:
    put_local(tmp_path, {f"{name}.gguf": gguf().data for name in "ab"})
    shards = [
        with_sha256(result, digit * 64)
        for result, digit in zip(examine(tmp_path), "12", strict=True)
    ]
    whole = as_set(shards)
    index = replace(whole.objects[0], url="/m/model.safetensors.index.json", sbom=None)
    whole = replace(whole, objects=(index, *whole.objects))
    statement = read("intoto", write("intoto", [whole]))
    assert [subject["digest"]["sha256"][0] for subject in statement["subject"]] == ["1", "2"]
    torn = as_set([shards[0], with_sha256(shards[1], "")])
    with pytest.raises(ValueError, match="no SHA-256 was computed here"):
        write("intoto", [torn])


@pytest.mark.parametrize("count", [0, 2])
def test_without_any_sha256_nothing_is_written(tmp_path: Path, count: int) -> None:
    put_local(tmp_path, {f"{number}.gguf": gguf().data for number in range(count)})
    out = io.StringIO()
    with pytest.raises(ValueError, match="--hash full"):
        writer_of("intoto")(examine(tmp_path), INFO, Summary(), out, OutputOptions())
    assert out.getvalue() == ""


def test_the_command_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_local(tmp_path, {"m/a.gguf": gguf().data})
    target = tmp_path / "statement.json"
    arguments = ["scan", f"{tmp_path}/m", "--format", "intoto", "--output", str(target)]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "--hash full" in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "m"]
    assert main([*arguments, "--hash", "full", "--cyclonedx-version", "1.7"]) == 0
    assert read("intoto", target.read_text())["predicate"]["specVersion"] == "1.7"
