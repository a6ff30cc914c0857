"""What is written agrees with what is done: every code block of the pages runs as it stands."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.policy.policy import Policy, PolicySet, Signer, load_policy
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS, SCANS
from tests.builders import gguf
from tests.certificates import Authority, public_pem
from tests.documentation import LANGUAGES, PageRun, blocks_of, matches, programs
from tests.servers import PrefectServer, S3Server

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md"]
PAGES += [str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")]
PAGES.sort()
POLICY = (ROOT / "docs/policy.md").read_text()
MOST_NOT_RUN = 4
# Programs of others: what the pages hand to them arrives.
STAND_INS = {
    "claude": 'python3 -c \'import json, sys; print(json.load(sys.stdin)["verdict"]["status"])\'',
    "codex": 'test -s "$MUTAGEN_HANDOFF" && ! read -r line',
}


def _write_keys(folder: Path) -> None:
    """Write the public keys that the policies of the pages name."""
    (folder / "keys").mkdir()
    release = public_pem(ec.generate_private_key(ec.SECP256R1()))
    (folder / "keys/release.pem").write_text(release)
    (folder / "keys/root.pem").write_text(Authority("root").pem)


@pytest.fixture(scope="module")
def reader(
    tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server, prefect_server: PrefectServer
) -> tuple[Path, dict[str, str]]:
    """Where a reader stands who has run the demo, and has the buckets and keys of the pages."""
    folder = tmp_path_factory.mktemp("reader")
    path = programs(folder / "bin", STAND_INS)
    environment = os.environ | {
        "PATH": path,
        "HOME": str(folder / "home"),
        "COLUMNS": "120",
        "PREFECT_API_URL": prefect_server.api,
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ACCESS_KEY_ID": s3_server.key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret,
        "ANTHROPIC_API_KEY": "none",
        "OPENAI_API_KEY": "none",
    }
    client = s3_server.client()
    client.create_bucket(Bucket="models")
    client.put_object(Bucket="models", Key="llama.gguf", Body=gguf().data)
    stand = folder / "stand"
    stand.mkdir()
    _write_keys(stand)
    demo = [sys.executable, "-m", "prefect_mutagen.scanner.commands.cli", "demo"]
    subprocess.run(demo, cwd=stand, env=environment, check=True, timeout=240, capture_output=True)
    return stand, environment


@pytest.mark.server
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run_as_they_stand(
    page: str,
    reader: tuple[Path, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    printed: str | None = None
    with PageRun(*reader) as run:
        for block in blocks_of((ROOT / page).read_text()):
            where = f"{page}:{block.line}"
            assert block.language in LANGUAGES, f"{where}: a block of an unknown language"
            if block.reason:
                printed = None
            elif block.language == "text":
                assert printed is not None, f"{where}: no block before it prints this"
                assert matches(printed, block.text), f"{where}: printed is\n{printed}"
            else:
                printed = run.run(block)


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    blocks = [block for page in PAGES for block in blocks_of((ROOT / page).read_text())]
    reasons = [block.reason for block in blocks if block.reason]
    assert len(reasons) <= MOST_NOT_RUN < len(blocks) / 4
    assert all(len(reason.split()) >= 5 for reason in reasons), reasons


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a  \nb", "a\nb", True),
        ("a\nb\nc\nd", "a\n...\nd", True),
        ("a\nd", "a\n...\nd", False),
        ("", "...", True),
        ("a (12 s)", "a (... s)", True),
        ("a\nb", "a", False),
        ("a", "a\nb", False),
        ("aXb", "a.b", False),
    ],
)
def test_what_counts_as_the_same_output(printed: str, expected: str, same: bool) -> None:  # noqa: FBT001 - a column
    assert matches(printed, expected) == same


@pytest.mark.parametrize(
    "page",
    [
        "```console\n$ echo a\nb\n```\n",
        "```console\n$ exit 3\n```\n",
        "```console\n$ echo a; no-such-program\n```\n",
        "```python\nprint(nowhere)\n```\n",
        "```python\nfrom no_such_package import it\n```\n",
        "```yaml\ndenied_licences: [mit]\n```\n",
        "```sql\nSELECT status FROM artifacts;\n```\n",
    ],
)
def test_a_block_that_does_not_do_what_it_says_is_seen(page: str, tmp_path: Path) -> None:
    environment = os.environ | {"PATH": programs(tmp_path / "bin", {})}
    (block,) = blocks_of(page)
    failures = (AssertionError, ValueError, subprocess.CalledProcessError)
    with PageRun(tmp_path, environment) as run, pytest.raises(failures):
        run.run(block)


def test_blocks_of_one_page_see_each_other(tmp_path: Path) -> None:
    page = (
        "```python\nx = 1\n```\n<!-- not run: for a reason -->\n```\nx\n```\n\n"
        "```python\nprint(x)\n```"
    )
    first, second, third = blocks_of(page)
    assert [block.reason for block in (first, second, third)] == ["", "for a reason", ""]
    with PageRun(tmp_path, os.environ) as run:
        assert run.run(first) == ""
        assert run.run(third) == "1\n"


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*PAGES, "CHANGELOG.md"):
        text = (ROOT / page).read_text()
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
            path = (ROOT / page).parent / target if target else ROOT / page
            assert path.exists(), f"{page}: {target}"
            if anchor:
                titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
                assert anchor in {title.lower().replace(" ", "-") for title in titles}, anchor


def test_addresses_elsewhere_are_well_formed() -> None:
    found = 0
    for page in (*PAGES, "CHANGELOG.md"):
        for address in re.findall(r"\]\((https?:[^)]*)\)", (ROOT / page).read_text()):
            parts = urlsplit(address)
            found += 1
            assert parts.scheme == "https", f"{page}: {address}"
            assert re.fullmatch(r"[\w.-]+\.[a-z]{2,}", parts.netloc), f"{page}: {address}"
            assert re.fullmatch(r"[!-~]+", address), f"{page}: {address}"
    assert found


def test_the_readme_is_short_and_has_a_picture() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert re.findall(r"^!\[.+\]\((.+)\)$", text, re.MULTILINE) == ["docs/assets/pipeline.svg"]


def test_the_picture_runs_and_loads_nothing() -> None:
    picture = (ROOT / "docs/assets/pipeline.svg").read_text()
    names = {element.tag.rpartition("}")[2] for element in ET.fromstring(picture).iter()}  # noqa: S314 - ours
    assert names <= {*("svg", "title", "desc", "style", "defs"), "marker", "path", "rect", "text"}
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")


def test_every_page_has_a_place_on_the_site() -> None:
    made = {"changes.md", "reference/columns.md", "reference/policy.md"}
    placed = re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert len(placed) == len(set(placed))
    pages = {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")}
    assert set(placed) == pages | made


def test_pages_that_are_made_have_all_columns_and_fields() -> None:
    site = _module("site_pages")
    columns, policy = site.columns_page(), site.policy_page()
    for schema in (ARTIFACTS, SBOMS, SCANS):
        assert all(f"| `{name}` |" in columns for name in schema.names)
    for field in fields(Policy):
        row = re.search(rf"^\| `{field.name}` \| (.+) \| (.+) \|$", policy, re.MULTILINE)
        assert row, f"{field.name} has a default and a meaning"
    assert "## Entries of `waivers`" in policy
    assert "](docs/" not in site.changes_page()


def _module(name: str) -> Any:
    spec = spec_from_file_location(name, ROOT / f"docs/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _generated(name: str) -> str:
    text: str = _module(name).page()
    return text


def test_the_page_of_codes_is_up_to_date() -> None:
    text = _generated("write_findings")
    assert (ROOT / "docs/findings.md").read_text() == text
    assert set(re.findall(r"^\| `([a-z-]+/[a-z0-9-]+)`", text, re.MULTILINE)) == set(CODES)


def test_the_page_of_loaders_is_up_to_date() -> None:
    text = _generated("write_loaders")
    assert (ROOT / "docs/loaders.md").read_text() == text
    modules = (ROOT / "scanner/loading").glob("*.py")
    rules = sum(path.read_text().count("    Rule(\n") for path in modules)
    rows = re.findall(r"^\| (?!what is taken|-)(.+) \| (.+) \|$", text, re.MULTILINE)
    assert len(rows) >= rules > 0
    # A source names a package and its version, a file and what stands there.
    assert all(re.search(r"\w.*, \S+", source) for _, source in rows)


@pytest.fixture
def policies() -> Iterator[str]:
    return (block.text for block in blocks_of(POLICY) if block.language == "yaml")


def test_the_policy_to_start_with_is_one() -> None:
    blocks = blocks_of((ROOT / "docs/how-to/nightly.md").read_text())
    (block,) = (block for block in blocks if block.language == "yaml")
    stated, policy = yaml.safe_load(block.text), load_policy(block.text)
    same = {name for name in stated if getattr(policy, name) == getattr(Policy(), name)}
    assert same == {"fail_on"}, "what stands there by default is shown for what else it may be"


def test_every_field_of_the_policy_is_on_its_page(policies: Iterator[str], tmp_path: Path) -> None:
    _write_keys(tmp_path)
    rows = {
        name
        for row in re.findall(r"^\| (`.*?) \|", POLICY, re.MULTILINE)
        for name in row.split(", ")
    }
    known = (*fields(Policy), *fields(Signer))
    assert rows == {f"`{field.name}`" for field in known}
    for block in policies:
        policy = load_policy(block, str(tmp_path))
        for name in yaml.safe_load(block):
            assert getattr(policy, name) != getattr(PolicySet(), name)


def test_every_option_of_the_command_is_on_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs/command.md").read_text()
    for command in ("scan", "verify", "exec", "query", "report"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        for option in re.findall(r"(--[a-z-]+)", capsys.readouterr().out):
            assert option in text or option == "--help", option


@pytest.mark.parametrize(
    ("link", "good"),
    [("policy.md#waivers", True), ("nowhere.md", False), ("policy.md#nowhere", False)],
)
def test_the_site_is_not_built_with_a_link_that_leads_nowhere(
    link: str,
    good: bool,  # noqa: FBT001 - a column
    tmp_path: Path,
) -> None:
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(), yaml.BaseLoader)  # noqa: S506 - texts only
    settings = {name: settings[name] for name in ("site_name", "validation")}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings | {"plugins": []}))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"# Start\n\n[there]({link})\n")
    (tmp_path / "docs/policy.md").write_text("# Policy\n\n## Waivers\n")
    (step,) = re.findall(
        r'"mkdocs", ("build"(?:, "--[a-z-]+")*), SITE', (ROOT / "run.py").read_text()
    )
    words = [*re.findall(r'"([^"]+)"', step), str(tmp_path / "site")]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", *words],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode == 0) == good, done.stderr.decode()
