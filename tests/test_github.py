"""What GitHub and pre-commit read: it is run nowhere else, so a mistake in it would show late."""

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

import prefect_mutagen
from tests.versions import try_versions

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(
    path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"
)
ZIZMOR = Path(sys.executable).with_name("zizmor")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - texts alone; "on" is no truth value
    return loaded


def _audit(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(ZIZMOR),
        "--offline",
        "--strict-collection",
        "--quiet",
        "--no-progress",
        str(folder),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _problems(schema: str, *paths: Path) -> str:
    """What a schema has against files; the schemas come with the package."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def _steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", ())]


def test_the_linter_finds_nothing() -> None:
    done = _audit(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("sound", "bad", "finding"),
    [
        ("run: .ci/run", "run: echo ${{ github.event.pull_request.title }}", "template-injection"),
        ("actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1", "actions/checkout@v7", "pin"),
        ("persist-credentials: false", "fetch-depth: 1", "artipacked"),
    ],
)
def test_the_linter_would_find_it(sound: str, bad: str, finding: str, tmp_path: Path) -> None:
    text = (GITHUB / "workflows/ci.yml").read_text()
    assert sound in text
    path = tmp_path / ".github/workflows/ci.yml"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace(sound, bad))
    done = _audit(tmp_path)
    assert done.returncode != 0
    assert finding in done.stdout


def test_workflows_and_forms_are_valid() -> None:
    assert len(WORKFLOWS) == 2
    assert len(FORMS) == 3
    assert _problems("github-workflows", *WORKFLOWS) == ""
    assert _problems("github-issue-forms", *FORMS) == ""
    assert _problems("github-issue-config", GITHUB / "ISSUE_TEMPLATE/config.yml") == ""


def test_the_schemas_would_find_it(tmp_path: Path) -> None:
    path = tmp_path / "form.yml"
    path.write_text(FORMS[0].read_text().replace("type: textarea", "type: text"))
    assert "text" in _problems("github-issue-forms", path)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_no_secret_is_used(path: Path) -> None:
    text = path.read_text()
    for line in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+|\$/\.github/workflows/ci\.yml", line)
    assert "secrets" not in text
    assert _load(path)["permissions"] == {}


def test_ci_runs_on_each_python_that_is_claimed() -> None:
    named = "Programming Language :: Python :: 3."
    claimed = {line[-4:] for line in PROJECT["project"]["classifiers"] if line.startswith(named)}
    jobs = _load(GITHUB / "workflows/ci.yml")["jobs"]
    assert set(jobs["pinned"]["strategy"]["matrix"]["python"]) == claimed
    built = {f"cp{version.replace('.', '')}-*" for version in claimed}
    assert set(PROJECT["tool"]["cibuildwheel"]["build"]) == built


def test_ci_runs_what_is_there() -> None:
    ci = _load(GITHUB / "workflows/ci.yml")
    tried = ci["jobs"]["versions"]["strategy"]["matrix"]["include"]
    assert {one["versions"] for one in tried} == set(try_versions.KINDS) - {"pinned"}
    commands = [step["run"] for step in _steps(ci) if "run" in step]
    assert ".ci/run" in commands
    assert f'python -m {try_versions.__name__} "$VERSIONS"' in commands
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_only_what_passed_is_published_and_by_identity_alone() -> None:
    jobs = _load(GITHUB / "workflows/release.yml")["jobs"]
    assert set(jobs["publish"]["needs"]) == {"tests", "check"}
    assert set(jobs["check"]["needs"]) == {"sdist", "wheels"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert [name for name, job in jobs.items() if "id-token" in job["permissions"]] == ["publish"]
    assert not any("run" in step for step in jobs["publish"]["steps"])


@pytest.mark.parametrize(("tag", "status"), [("v" + prefect_mutagen.__version__, 0), ("v9", 1)])
def test_a_tag_has_to_name_the_version(tag: str, status: int) -> None:
    steps = _load(GITHUB / "workflows/release.yml")["jobs"]["sdist"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("name") == "The tag names the version"]
    script = script.replace("python -c", f"{sys.executable} -c")
    environment = {"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/bash", "-e", "-c", script],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status
    assert ("::error::" in done.stdout) == bool(status)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_forms_ask_for_the_version_and_name_what_exists(path: Path) -> None:
    text, form = path.read_text(), _load(path)
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    for name in re.findall(r"[\w./-]+\.md\b", text):
        assert (ROOT / name).is_file()
    for command in re.findall(r"`prefect-mutagen (\w+)", text):
        assert (ROOT / f"scanner/commands/{command}.py").is_file() or command == "version"


def test_hooks_are_the_checks_of_run_py() -> None:
    config = _load(ROOT / ".pre-commit-config.yaml")
    (repository,) = config["repos"]
    assert repository["repo"] == "local", "hooks of others would be fetched"
    checked = (ROOT / "run.py").read_text()
    for hook in repository["hooks"]:
        program, *words = hook["entry"].split()
        assert hook["language"] == "system"
        assert program.startswith(".venv/bin/")
        if program == ".venv/bin/python":
            assert words[0] == "-m"
            assert find_spec(words[1])
            assert f'"-m", "{words[1]}"' in checked
        else:
            assert Path(sys.executable).with_name(Path(program).name).is_file()
            assert f'"{Path(program).name}")' in checked
        assert not hook.get("files") or any(
            re.search(hook["files"], str(path.relative_to(ROOT))) for path in WORKFLOWS
        )


def test_the_security_policy_says_what_the_documentation_says() -> None:
    policy, model = (ROOT / "SECURITY.md").read_text(), (ROOT / "docs/threat-model.md").read_text()
    assert "docs/threat-model.md#what-is-not-kept-away" in policy
    assert "## What is not kept away\n" in model
    assert "docs/threat-model.md" in (ROOT / "README.md").read_text()
