"""Run the main job's test with the pinned, the lowest and the newest versions that are allowed.

``python -m tests.versions.try_versions [pinned] [lowest] [newest] [--keep DIR]``; all three without
a name. Each is an environment of its own with the wheel of this checkout, its extras but those for
clusters, and no more than the test needs besides; it takes some minutes. Versions:

* ``pinned``: constraints.txt;
* ``lowest``: what the project itself asks for, at exactly its lower bounds; the rest as pip likes;
* ``newest``: whatever pip resolves.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from contextlib import nullcontext
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
TEST = "tests/deployments/test_scheduled_scan.py"
KINDS = ("pinned", "lowest", "newest")
EXTRAS = ("aws", "fast", "query", "signing")
NEEDED_BY_THE_TEST = (
    "moto[server]>=5.1",
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
)
SHOWN = (
    *("prefect", "sqlalchemy", "fastapi", "starlette", "pydantic", "prefect-aws", "s3fs", "fsspec"),
    *("obstore", "pyarrow", "duckdb", "cryptography", "sigstore", "packaging", "pyyaml", "rich"),
)


def requirements() -> list[Requirement]:
    """Read what the project asks for at run time, with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (project["optional-dependencies"][name] for name in EXTRAS)
    return [Requirement(line) for lines in (project["dependencies"], *extras) for line in lines]


def lowest() -> dict[str, str]:
    """Return the lower bound of each requirement.

    Raises:
        ValueError: One has none, or several.
    """
    bounds: dict[str, str] = {}
    for requirement in requirements():
        lower = [part.version for part in requirement.specifier if part.operator == ">="]
        if len(lower) != 1:
            raise ValueError(f"{requirement} has {len(lower)} lower bounds")
        bounds[requirement.name] = lower[0]
    return bounds


def constraints(kind: str) -> str:
    """Write the constraints of an environment."""
    if kind == "pinned":
        return (ROOT / "constraints.txt").read_text()
    if kind == "lowest":
        return "".join(f"{name}=={version}\n" for name, version in lowest().items())
    return ""


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy, which leaves nothing in the checkout."""
    ignored = shutil.ignore_patterns(".*", "build", "dist", "demo", "*.egg-info", "*.so", "tests")
    copy = folder / "source"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    subprocess.run([*pip, str(copy)], check=True)
    (wheel,) = folder.glob("prefect_mutagen-*.whl")
    return wheel


def install(kind: str, wheel: Path, folder: Path) -> Path:
    """Make an environment, and give its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    limits = folder / "constraints.txt"
    limits.write_text(constraints(kind))
    what = f"prefect-mutagen[{','.join(EXTRAS)}] @ {wheel.as_uri()}"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The project alone comes first: what the test needs has to do with what is there by then.
    for packages in ([what], NEEDED_BY_THE_TEST):
        subprocess.run([*pip, "-c", str(limits), *packages], check=True)
    return python


def versions(python: Path) -> dict[str, str]:
    """Ask an environment what it has."""
    code = (
        "import json, sys; from importlib.metadata import version;"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    done = subprocess.run([python, "-c", code, *SHOWN], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def main() -> int:
    """Try the versions that are asked for; 0 when the test passed with all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions.try_versions")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all")
    parser.add_argument("--keep", metavar="DIR", help="leave the environments there")
    options = parser.parse_args()
    kinds = options.kinds or list(KINDS)
    if wrong := [kind for kind in kinds if kind not in KINDS]:
        parser.error(f"{wrong[0]!r} is none of {', '.join(KINDS)}")
    kept = options.keep and nullcontext(os.path.abspath(options.keep))
    with kept or tempfile.TemporaryDirectory(prefix="mutagen-versions-") as name:
        folder = Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        wheel = build_wheel(folder)
        failed = [kind for kind in kinds if not try_versions(kind, wheel, folder / kind)]
    print(f"failed: {', '.join(failed)}" if failed else f"passed: {', '.join(kinds)}")
    return 1 if failed else 0


def try_versions(kind: str, wheel: Path, folder: Path) -> bool:
    """Install one set of versions and run the test; print what it was and how it went."""
    print(f"{kind}: installing", flush=True)
    started = time.monotonic()
    try:
        python = install(kind, wheel, folder)
    except subprocess.CalledProcessError:
        print(f"{kind}: cannot be installed; pip says why above", flush=True)
        return False
    installed = time.monotonic()
    found = versions(python)
    print(f"{kind}: {', '.join(f'{name} {version}' for name, version in found.items())}")
    print(f"{kind}: installed in {installed - started:.0f} s; testing", flush=True)
    pytest = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", TEST]
    status = subprocess.run(pytest, cwd=ROOT, check=False).returncode
    result = "passed" if status == 0 else f"failed with status {status}"
    print(f"{kind}: {result} after {time.monotonic() - installed:.0f} s", flush=True)
    return status == 0


if __name__ == "__main__":
    sys.exit(main())
