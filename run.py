"""Do everything a newcomer needs, with nothing but Python: ``demo``, ``test``, ``check``.

    python3 run.py demo     make a small bucket of good and broken models and run everything on it
    python3 run.py test     pass the tests (more arguments go to pytest)
    python3 run.py check    lint and types

Each makes a virtual environment in .venv, or brings it up to date, before it starts.
"""

import hashlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
PYTHON = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin", "python")
SOURCES = ("pyproject.toml", "constraints.txt", "run.py")
OLDEST = (3, 11)


def prepare(extra):
    """Make the virtual environment hold what a command needs."""
    digest = hashlib.sha256(sys.version.encode())
    for name in SOURCES:
        with open(os.path.join(HERE, name), "rb") as file:
            digest.update(file.read())
    stamp = os.path.join(VENV, "ready-%s-%s" % (extra or "run", digest.hexdigest()[:16]))
    if os.path.exists(stamp):
        return
    if not os.path.exists(PYTHON):
        print("run.py: making a virtual environment in .venv", flush=True)
        if subprocess.call([sys.executable, "-m", "venv", VENV]):
            sys.exit("run.py: Python cannot make virtual environments (Debian: python3-venv)")
    print("run.py: installing (a minute or two the first time)", flush=True)
    package = "%s[%s]" % (HERE, extra) if extra else HERE
    install = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install += ["--constraint", os.path.join(HERE, "constraints.txt"), "--editable", package]
    if subprocess.call(install):
        sys.exit("run.py: the installation failed; pip says why above")
    with open(stamp, "w"):
        pass


def main():
    """Run one command and hand its exit status on."""
    command, rest = (sys.argv + [""])[1], sys.argv[2:]
    if command not in ("demo", "test", "check"):
        sys.exit(__doc__)
    if sys.version_info < OLDEST:
        sys.exit("run.py: Python 3.11 or newer is needed; this is %s" % sys.version.split()[0])
    prepare("" if command == "demo" else "dev")
    os.chdir(HERE)
    if command == "demo":
        return subprocess.call([PYTHON, "-m", "prefect_mutagen", "demo"] + rest)
    if command == "test":
        return subprocess.call([PYTHON, "-m", "pytest"] + rest)
    steps = (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy", "-p", "prefect_mutagen"],
        ["mypy", "tests"],
    )
    return max(subprocess.call([PYTHON, "-m"] + step) for step in steps)


if __name__ == "__main__":
    sys.exit(main())
