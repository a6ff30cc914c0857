"""Virtual environments with what a distribution requires and nothing else, without an index."""

import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["Installed", "build", "install"]


@dataclass(frozen=True)
class Installed:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin/python")

    @property
    def command(self) -> str:
        return str(self.folder / "bin/prefect-mutagen")

    @property
    def packages(self) -> Path:
        (found,) = (self.folder / "lib").glob("python*/site-packages")
        return found

    @property
    def megabytes(self) -> float:
        """Size of its site-packages."""
        files = (path for path in self.packages.rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in files) / 1e6

    def distributions(self) -> set[str]:
        """Names of all that is installed."""
        found = (PathDistribution(path) for path in self.packages.glob("*.dist-info"))
        return {_normal(one.name) for one in found}

    def pip(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run pip, that of this environment, on that one."""
        command = [sys.executable, "-m", "pip", "--python", self.python, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def run(self, *words: str, code: str = "", folder: Path | None = None) -> tuple[int, str]:
        """Run its command, or Python code; the exit status and all that is said."""
        command = [self.python, "-I", "-c", code, *words] if code else [self.command, *words]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
            cwd=folder or self.folder,
        )
        return done.returncode, done.stdout

    def add(self, wheel: Path) -> None:
        """Install a wheel with pip, and put beside it what it requires of this environment."""
        done = self.pip("install", "--quiet", "--no-index", "--no-deps", str(wheel))
        assert done.returncode == 0, done.stderr
        (own,) = (
            PathDistribution(path)
            for path in self.packages.glob(f"{wheel.name.partition('-')[0]}-*.dist-info")
        )
        waiting = [*_required(own)]
        there = self.distributions()
        seen: set[tuple[str, frozenset[str]]] = set()
        while waiting:
            name, extras = asked = waiting.pop()
            if asked in seen or (name in there and not extras):
                continue
            seen.add(asked)
            found = distribution(name)
            if name not in there:
                there.add(name)
                _copy(found, self.packages)
            waiting += _required(found, extras)


def _required(
    found: Distribution, extras: frozenset[str] = frozenset()
) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield what a distribution requires here."""
    for line in found.requires or ():
        one = Requirement(line)
        if one.marker is None or any(
            one.marker.evaluate({"extra": extra}) for extra in extras or {""}
        ):
            yield _normal(one.name), frozenset(one.extras)


def _copy(found: Distribution, packages: Path) -> None:
    for file in found.files or ():
        source = Path(str(found.locate_file(file)))
        if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
            continue  # its programs, and what Python makes again
        target = packages / str(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def install(folder: Path, *wheels: Path) -> Installed:
    """Make a virtual environment with these wheels."""
    venv.create(folder, with_pip=False)
    made = Installed(folder)
    for wheel in wheels:
        made.add(wheel)
    return made


def build(kind: str, tree: Path, folder: Path) -> Path:
    """Build a wheel or an sdist from a source tree, with the tools of this environment."""
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}"]
    done = subprocess.run(
        [*command, "--outdir", str(folder), str(tree)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    (built,) = folder.iterdir()
    return built
