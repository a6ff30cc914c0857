"""What is written agrees with what is done."""

import json
import re
from dataclasses import fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import duckdb
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from prefect_mutagen.flows.demo_models import write_bucket
from prefect_mutagen.scanner.cli import main
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.policy import Policy, Signer, load_policy
from prefect_mutagen.scanner.signing.check import check_signers
from tests.builders import STRING, gguf
from tests.certificates import Authority, public_pem

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
POLICY = (ROOT / "docs/policy.md").read_text()


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_page_of_codes_is_up_to_date() -> None:
    spec = spec_from_file_location("write_findings", ROOT / "docs/write_findings.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.page()
    assert (ROOT / "docs/findings.md").read_text() == text
    assert set(re.findall(r"^\| `([a-z-]+/[a-z0-9-]+)`", text, re.MULTILINE)) == set(CODES)


def test_the_readmes_python_is_python() -> None:
    for block in (*_blocks("python"), *_blocks("python", POLICY)):
        compile(block, "README.md", "exec")


def test_the_readmes_policy_is_one() -> None:
    (block,) = _blocks("yaml")
    stated, policy = yaml.safe_load(block), load_policy(block)
    same = {name for name in stated if getattr(policy, name) == getattr(Policy(), name)}
    assert same == {"fail_on"}, "what stands there by default is shown for what else it may be"


def test_every_field_of_the_policy_is_on_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/release.pem").write_text(public_pem(ec.generate_private_key(ec.SECP256R1())))
    (tmp_path / "keys/root.pem").write_text(Authority("root").pem)
    rows = {
        name
        for row in re.findall(r"^\| (`.*?) \|", POLICY, re.MULTILINE)
        for name in row.split(", ")
    }
    known = (*fields(Policy), *fields(Signer))
    assert rows == {f"`{field.name}`" for field in known}
    blocks = _blocks("yaml", POLICY)
    assert len(blocks) == 4
    for block in blocks:
        policy = load_policy(block, str(tmp_path))
        check_signers(policy.allowed_signers)
        for name in yaml.safe_load(block):
            assert getattr(policy, name) != getattr(Policy(), name)


def test_the_readmes_queries_run_on_a_real_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bucket(str(tmp_path / "demo/bucket"))
    template = ("tokenizer.chat_template", STRING, "{{ messages[0]['content'] }}")
    (tmp_path / "demo/bucket/chat.gguf").write_bytes(gguf((template,)).data)
    arguments = ["scan", str(tmp_path / "demo/bucket"), "--table", str(tmp_path / "demo/table")]
    assert main([*arguments, "--format", "report"]) == 1
    assert len(json.loads(capsys.readouterr().out)["artifacts"]) == 10
    views, *queries = _blocks("sql")
    assert len(queries) >= 4
    with duckdb.connect() as connection:
        connection.execute(views.replace("demo/table", str(tmp_path / "demo/table")))
        for query in queries:
            assert connection.execute(query).fetchall(), query
    for query in queries:
        assert main(["query", query, "--table", str(tmp_path / "demo/table")]) == 0


def test_every_option_of_the_command_is_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("scan", "verify", "exec", "query"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        for option in re.findall(r"(--[a-z-]+)", capsys.readouterr().out):
            assert option in README or option == "--help", option
