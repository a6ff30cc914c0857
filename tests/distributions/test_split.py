"""The two distributions of the one tree: what each holds, needs, weighs, and does on its own."""

import json
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen import __version__
from tests.builders import gguf
from tests.distributions.installing import Installed, build, install
from tests.scanner.storing import put_local
from tests.servers import WebServer

ROOT = Path(__file__).parents[2]
MOST_MEGABYTES = 45
"""The issue of an image is its size: 40 MB, and some room for newer versions of the libraries."""
EXTRAS = {"aiobotocore", "botocore", "cryptography", "obstore", "pyarrow", "s3fs", "sigstore"}
"""What modules of the scanner import that only some work needs."""
GGUF = gguf().data


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    script = ROOT / "distributions/split.py"
    subprocess.run([sys.executable, str(script), str(folder)], check=True)
    return folder


def _project(tree: Path) -> dict[str, Any]:
    return tomllib.loads((tree / "pyproject.toml").read_text())


def _files(tree: Path) -> set[str]:
    package = tree / "prefect_mutagen"
    return {str(path.relative_to(tree)) for path in package.rglob("*") if path.is_file()}


def test_every_file_of_the_package_is_in_one_of_the_two(trees: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - of PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    folders = ("parsers/", "scanner/", "flows/", "tasks/", "deployments/")
    expected = {
        f"prefect_mutagen/{name}" for name in listed.stdout.split() if name.startswith(folders)
    }
    expected |= {f"prefect_mutagen/{name}" for name in ("__init__.py", "__main__.py", "py.typed")}
    scanner, plugin = _files(trees / "scanner"), _files(trees / "plugin")
    assert not scanner & plugin
    assert scanner | plugin == expected
    assert "prefect_mutagen/deployments/prefect.yaml" in plugin


def test_together_they_state_what_the_whole_tree_states(trees: Path) -> None:
    whole = _project(ROOT)["project"]
    scanner, plugin = (_project(trees / name)["project"] for name in ("scanner", "plugin"))
    plain = [line.replace("[http]", "") for line in scanner["dependencies"]]
    assert plugin["dependencies"][0] == f"prefect-mutagen-scanner=={__version__}"
    assert sorted([*plain, *plugin["dependencies"][1:]]) == sorted(whole["dependencies"])
    assert scanner["scripts"] == whole["scripts"]
    assert plugin["entry-points"] == whole["entry-points"]
    assert {"scripts", "entry-points"}.isdisjoint(plugin.keys() & scanner.keys())
    assert plugin["optional-dependencies"].keys() == whole["optional-dependencies"].keys() - {"dev"}
    bounds = {
        *whole["dependencies"],
        *chain.from_iterable(plugin["optional-dependencies"].values()),
    }
    for lines in scanner["optional-dependencies"].values():
        assert set(lines) <= bounds, "one bound for each library"
    for project in (scanner, plugin):
        assert project["version"] == __version__
        assert project["requires-python"] == whole["requires-python"]


def test_a_checkout_needs_no_index_that_knows_our_packages() -> None:
    whole = _project(ROOT)["project"]
    extras = chain.from_iterable(whole["optional-dependencies"].values())
    # An extra that names another one of the same project is resolved from the checkout.
    own = [f"{whole['name']}[{extra}]" for extra in whole["optional-dependencies"]]
    lines = [line for line in (*whole["dependencies"], *extras) if line not in own]
    assert not [line for line in lines if "mutagen" in line]


@pytest.fixture(scope="module")
def wheels(trees: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheels of scanner and plugin, each built from its source distribution."""
    built = []
    for name in ("scanner", "plugin"):
        source = build("sdist", trees / name, tmp_path_factory.mktemp("sdist"))
        unpacked = tmp_path_factory.mktemp("unpacked")
        with tarfile.open(source) as archive:
            archive.extractall(unpacked, filter="data")
        (tree,) = unpacked.iterdir()
        built.append(build("wheel", tree, tmp_path_factory.mktemp("wheel")))
    return built[0], built[1]


@pytest.fixture(scope="module")
def alone(wheels: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The scanner with what it requires, and nothing else."""
    return install(tmp_path_factory.mktemp("alone") / "venv", wheels[0])


@pytest.mark.slow
def test_wheels_hold_what_their_trees_hold(wheels: tuple[Path, Path], trees: Path) -> None:
    for wheel, name in zip(wheels, ("scanner", "plugin"), strict=True):
        with zipfile.ZipFile(wheel) as archive:
            inside = {path for path in archive.namelist() if ".dist-info/" not in path}
        sources = {path for path in _files(trees / name) if not path.endswith(".pyx")}
        assert {path for path in inside if not path.endswith((".so", ".pyx", ".c"))} == sources
    assert wheels[1].name.endswith("-py3-none-any.whl"), "nothing in it is compiled"


@pytest.mark.slow
def test_the_scanner_alone_is_small_and_without_prefect(alone: Installed) -> None:
    there = alone.distributions()
    assert "prefect-mutagen-scanner" in there
    assert there.isdisjoint({"prefect", "pyarrow", "prefect-mutagen", "botocore", "rich"})
    done = alone.pip("check")
    assert done.returncode == 0, done.stdout
    assert 20 < alone.megabytes < MOST_MEGABYTES


@pytest.mark.slow
def test_every_module_of_the_scanner_is_imported_or_says_what_it_lacks(alone: Installed) -> None:
    modules = [
        ".".join(path.relative_to(alone.packages).with_suffix("").parts)
        for path in (alone.packages / "prefect_mutagen").rglob("*.py")
    ]
    code = (
        "import importlib, json, sys\n"
        "lacking = {}\n"
        "for name in sys.argv[1:]:\n"
        "    try: importlib.import_module(name.removesuffix('.__init__'))\n"
        "    except ModuleNotFoundError as problem: lacking[name] = problem.name\n"
        "print(json.dumps(lacking))\n"
    )
    names = [name for name in modules if not name.endswith(".supervisor")]
    status, said = alone.run(*names, code=code)
    assert status == 0, said
    lacking = json.loads(said)
    assert {name.partition(".")[0] for name in lacking.values()} <= EXTRAS
    rooms = {name.rpartition(".")[0] for name in lacking}
    assert rooms <= {
        f"prefect_mutagen.scanner.{room}" for room in ("agents", "signing", "storage", "table")
    }
    assert len(lacking) < len(modules) / 5


@pytest.fixture
def models(tmp_path: Path) -> Path:
    put_local(tmp_path / "good", {"m.gguf": GGUF})
    put_local(tmp_path / "bad", {"m.gguf": GGUF[:100]})
    return tmp_path


@contextmanager
def _places(models: Path, kind: str) -> Iterator[str]:
    if kind == "folder":
        yield str(models)
        return
    with WebServer(models) as site:
        yield site.url


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "web"])
def test_the_scanner_alone_scans_verifies_and_executes(
    alone: Installed, models: Path, kind: str
) -> None:
    with _places(models, kind) as root:
        good, bad = f"{root}/good/m.gguf", f"{root}/bad/m.gguf"
        assert alone.run("scan", good, "--format", "report")[0] == 0
        assert alone.run("scan", bad, "--format", "table")[0] == 1
        for form in ("jsonl", "html", "spdx-json", "cyclonedx", "sarif", "summary"):
            assert alone.run("scan", good, "--format", form)[0] == 0
        assert alone.run("verify", good)[0] == 0
        assert alone.run("verify", good, bad, "--format", "json")[0] == 1
        assert alone.run("exec", good, "--", "sh", "-c", "exit 9")[0] == 9
        assert alone.run("exec", "--as-server", good, "--", "sh", "-c", "exit 9")[0] == 9
        assert alone.run("exec", bad, "--", "sh", "-c", "exit 9")[0] == 1


LACKS_TABLE = "pip install 'prefect-mutagen-scanner[table]'\n"
LACKS_FLOWS = "come with the flows, which are not installed: pip install prefect-mutagen\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scan", "good", "--table", "t"], LACKS_TABLE),
        (["verify", "good", "--table", "t"], LACKS_TABLE),
        (["report", "--table", "t"], LACKS_TABLE),
        (["verify", "s3://models/m.gguf"], "pip install 'prefect-mutagen-scanner[s3]'\n"),
        (["scan", "s3://models"], "pip install 'prefect-mutagen-scanner[s3]'\n"),
        (["deployments", "d"], LACKS_FLOWS),
        (["demo"], LACKS_FLOWS.replace("come", "comes")),
    ],
)
def test_what_the_scanner_alone_lacks_is_said_in_one_sentence(
    alone: Installed, models: Path, words: list[str], said: str
) -> None:
    status, told = alone.run(*words, folder=models)
    assert status == 2
    assert told.endswith(said), told
    assert told.count("\n") == 1, told


@pytest.mark.slow
def test_the_plugin_goes_on_top(
    wheels: tuple[Path, Path], models: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    both = install(tmp_path_factory.mktemp("both") / "venv", *wheels)
    assert both.pip("check").returncode == 0
    code = (
        "import prefect_mutagen.flows, prefect_mutagen.tasks, prefect_mutagen.scanner\n"
        "from importlib.metadata import entry_points\n"
        "(flows,) = entry_points(group='prefect.collections', name='prefect_mutagen')\n"
        "print(flows.load().ModelPolicy.__name__, prefect_mutagen.flows.scan_models.name)\n"
    )
    status, said = both.run(code=code)
    assert (status, said.split()[-1]) == (0, "scan-models"), said
    assert both.run("scan", "good", "--table", "t", folder=models)[0] == 0
    assert both.run("verify", "good", "--table", "t", folder=models)[0] == 0
    assert both.run("deployments", "d", folder=models)[0] == 0
    assert both.run("--help")[1].count("demo") == 1
    # Without the plugin, the scanner is what it was.
    assert both.pip("uninstall", "--yes", "prefect-mutagen").returncode == 0
    assert both.run("verify", "good", folder=models)[0] == 0
    assert not list((both.packages / "prefect_mutagen/flows").glob("*.py"))
