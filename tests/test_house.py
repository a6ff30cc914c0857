"""The house itself: what imports cost, what is installed, how it is written."""

import ast
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import prefect_mutagen

ROOT = Path(__file__).parent.parent
FOLDERS = ["parsers", "scanner", "tasks", "flows"]  # each may import those before it
MODULES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            if node.module == "prefect_mutagen":
                yield from (f"prefect_mutagen.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", ["parsers", "scanner"])
def test_what_lies_below_prefect_does_without_it(folder: str) -> None:
    modules = [
        ".".join(("prefect_mutagen", *path.relative_to(ROOT).with_suffix("").parts))
        for path in (ROOT / folder).rglob("*.py")
        if path.parent.name not in ("storage", "table")
    ]
    code = (
        "import sys, importlib\n"
        "class Wall:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        blocked = {'prefect', 'pyarrow', 's3fs'}\n"
        "        if name.partition('.')[0] in blocked: raise ImportError('blocked: ' + name)\n"
        "sys.meta_path.insert(0, Wall())\n"
        f"for name in {modules!r}: importlib.import_module(name.removesuffix('.__init__'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", [p for p in MODULES if "parsers" in p.parts], ids=str)
def test_parsers_need_the_standard_library_alone(path: Path) -> None:
    for name in _imports(path):
        first = name.partition(".")[0]
        assert first in sys.stdlib_module_names or name.startswith("prefect_mutagen.parsers"), name


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_modules_say_what_they_are(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize(
    "path",
    [
        p
        for kind in ("py", "pyx", "pxd")
        for top in (*FOLDERS, "tests")
        for p in (ROOT / top).rglob(f"*.{kind}")
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", [p for p in MODULES if "flows" in p.parts], ids=str)
def test_annotations_of_flows_are_real(path: Path) -> None:
    assert "__future__" not in set(_imports(path))


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("parsers", ["read_header"]),
        (
            "scanner",
            ["scan", "verify", "Policy", "Sbom", "Finding", "Verdict", "ArtifactRejected"],
        ),
        (
            "tasks",
            ["list_artifacts", "scan_artifact", "scan_batch", "write_table", "start_agents"],
        ),
        ("flows", ["scan_models", "run_agent", "AgentLaunch"]),
    ],
)
def test_the_interface_others_rely_on(module: str, names: list[str]) -> None:
    face = import_module(f"prefect_mutagen.{module}")
    for name in names:
        assert name in face.__all__
        assert callable(getattr(face, name)), "a function of the name of its module stays one"


def test_entry_points() -> None:
    (collection,) = entry_points(group="prefect.collections", name="prefect_mutagen")
    assert collection.load().__name__ == "prefect_mutagen.flows"
    (command,) = entry_points(group="console_scripts", name="prefect-mutagen")
    assert callable(command.load())
    (demo,) = entry_points(group="prefect_mutagen.commands", name="demo")
    assert callable(demo.load())


def test_the_project_says_one_version() -> None:
    assert f"## {prefect_mutagen.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the source distribution."""
    folder = tmp_path_factory.mktemp("built")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*build, "--sdist", str(ROOT)], check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    subprocess.run([*build, "--wheel", str(source)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (
            "status",
            "Revealed type is \"Literal['passed'] | Literal['failed'] | Literal['unknown']\"",
        ),
        ("stat", '"Verdict" has no attribute "stat"'),
    ],
)
def test_who_installs_the_wheel_sees_its_types(
    wheel: Path, asked: str, answer: str, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    (packages,) = (tmp_path / "venv/lib").glob("*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)  # noqa: S202 - our own
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "libraries.pth").write_text("\n".join(libraries))
    (tmp_path / "mine.py").write_text(
        "from prefect_mutagen.scanner import Policy, verify\n"
        'result = verify("s3://models/m.gguf", policy=Policy(allowed_licenses=("mit",)))\n'
        f"reveal_type(result.verdict.{asked})\n"
    )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable"]
    done = subprocess.run(
        [*mypy, tmp_path / "venv/bin/python", "mine.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert answer in done.stdout, done.stdout + done.stderr
    assert done.returncode == (asked != "status"), done.stdout


@pytest.mark.slow
def test_sdist_and_the_wheel_built_from_it_are_complete(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    expected = {f"prefect_mutagen/{name}" for name in NAMES}
    shipped = [path for path in sorted((ROOT / "deployments").rglob("*")) if path.is_file()]
    data = {f"prefect_mutagen/{path.relative_to(ROOT)}" for path in shipped}
    assert "prefect_mutagen/deployments/prefect.yaml" in data
    page = (path for path in (ROOT / "scanner/outputs/page").iterdir() if path.is_file())
    data |= {f"prefect_mutagen/{path.relative_to(ROOT)}" for path in page}
    assert "prefect_mutagen/scanner/outputs/page/page.js" in data
    assert expected | data <= inside
    assert {"prefect_mutagen/py.typed", "prefect_mutagen/__main__.py"} <= inside
    tops = ("tests/", "flows/", "parsers/", "deployments/")
    assert not any(name.startswith(tops) for name in inside)
    # Every module of the wheel is imported, with this environment's libraries and none of its code;
    # and who has the wheel alone has something to deploy.
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv/bin/python"
    modules = [name.removesuffix(".py").replace("/", ".") for name in sorted(expected)]
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    code = (
        f"import sys, importlib; sys.path = [{str(wheel)!r}, *sys.path, *{libraries!r}]\n"
        f"for name in {modules!r}: importlib.import_module(name.removesuffix('.__init__'))\n"
        "import prefect_mutagen; assert '.whl' in prefect_mutagen.__file__\n"
        "from prefect_mutagen.scanner.commands.cli import main\n"
        "sys.exit(main(['deployments', 'written']))"
    )
    done = subprocess.run(
        [python, "-S", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for path in shipped:
        written = tmp_path / "written" / path.relative_to(ROOT / "deployments")
        assert written.read_bytes() == path.read_bytes()
    code = (
        f"import sys, runpy; sys.path = [{str(wheel)!r}, *sys.path, *{libraries!r}]\n"
        "sys.argv[1:] = ['--version']; runpy.run_module('prefect_mutagen', run_name='__main__')"
    )
    done = subprocess.run(
        [python, "-S", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout == f"prefect-mutagen {prefect_mutagen.__version__}\n", done.stderr


def test_the_walks_are_compiled_where_tests_run() -> None:
    from prefect_mutagen.parsers import walks

    assert walks.COMPILED, "a compiler and Cython were there, so the extension should be too"


def test_dependencies_are_few_and_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {line.partition(">")[0].strip() for line in project["dependencies"]}
    assert names == {
        *("prefect", "pydantic", "pyarrow", "fsspec", "s3fs"),
        *("httpx", "jinja2", "packaging", "pyyaml", "rich", "shtab"),
    }
