"""What is written agrees with what is done."""

import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import duckdb
import pytest
import yaml

from prefect_mutagen.flows.demo_models import write_bucket
from prefect_mutagen.scanner.cli import main
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.policy import load_policy

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


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
    for block in _blocks("python"):
        compile(block, "README.md", "exec")


def test_the_readmes_policy_is_one() -> None:
    (block,) = _blocks("yaml")
    assert load_policy(block).to_dict().keys() >= yaml.safe_load(block).keys()


def test_the_readmes_queries_run_on_a_real_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bucket(str(tmp_path / "demo/bucket"))
    arguments = ["scan", str(tmp_path / "demo/bucket"), "--table", str(tmp_path / "demo/table")]
    assert main([*arguments, "--format", "report"]) == 1
    assert len(json.loads(capsys.readouterr().out)["artifacts"]) == 9
    queries = _blocks("sql")
    assert queries
    for query in queries:
        local = query.replace("demo/table", str(tmp_path / "demo/table"))
        assert duckdb.execute(local).fetchall()


def test_every_option_of_the_command_is_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("scan", "verify", "exec"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        for option in re.findall(r"(--[a-z-]+)", capsys.readouterr().out):
            assert option in README or option == "--help", option
