"""Do everything a newcomer needs, with nothing but Python: ``demo``, ``test``, ``check``.

    python3 run.py demo          make a small bucket of good and broken models and run everything on it
    python3 run.py test          pass the tests in a few minutes, some of them at a time
    python3 run.py test --all    pass the slow ones too: servers under faults, fuzzing, many children
    python3 run.py check         lint, types, what GitHub reads, and the documentation as a site

More arguments of ``demo`` go to the demo, those of ``test`` to pytest; tests that are named run
whether they are slow or not. Each makes a virtual environment in .venv, or brings it up to date,
before it starts; afterwards the command lies in .venv/bin/prefect-mutagen.
"""

import glob
import hashlib
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
PROGRAMS = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin")
PYTHON = os.path.join(PROGRAMS, "python")
SOURCES = ("pyproject.toml", "constraints.txt", "run.py")
OLDEST = (3, 11)
SITE = os.path.join(VENV, "site")
FORMS = ".github/ISSUE_TEMPLATE/"
MOST_WORKERS = 8  # each imports Prefect and starts servers of its own
REMIND_SECONDS = 10


def say(text):
    """Write a line that is seen at once."""
    print("run.py: %s" % text, flush=True)


def wait_for(command, what):
    """Run a command that says nothing, and say every few seconds that it still runs."""
    say(what)
    began = said = time.time()
    process = subprocess.Popen(command)
    while process.poll() is None:
        time.sleep(0.2)
        now = time.time()
        if now >= said + REMIND_SECONDS:
            said = now
            say("%s: %d s so far" % (what, now - began))
    return process.returncode


def prepare(extra):
    """Make the virtual environment hold what a command needs."""
    digest = hashlib.sha256(sys.version.encode())
    for name in SOURCES:
        with open(os.path.join(HERE, name), "rb") as file:
            digest.update(file.read())
    stamp = os.path.join(VENV, "ready-%s-%s" % (extra, digest.hexdigest()[:16]))
    if os.path.exists(stamp):
        return
    if not os.path.exists(PYTHON):
        if wait_for([sys.executable, "-m", "venv", VENV], "making a virtual environment in .venv"):
            sys.exit("run.py: Python cannot make virtual environments (Debian: python3-venv)")
    package = "%s[%s]" % (HERE, extra)
    install = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install += ["--constraint", os.path.join(HERE, "constraints.txt"), "--editable", package]
    if wait_for(install, "installing into .venv, a minute or two the first time"):
        sys.exit("run.py: the installation failed; pip says why above")
    with open(stamp, "w"):
        pass
    say("installed; the command is %s" % program())


def program():
    """Return what to type for the command from where the person stands."""
    path = os.path.join(PROGRAMS, "prefect-mutagen")
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def test(arguments):
    """Run pytest: by default what is not slow, on as many workers as there are cores and one more."""
    chosen = [word for word in arguments if word != "--all"]
    named = any(os.path.exists(word.partition("::")[0]) for word in chosen)
    command = [PYTHON, "-m", "pytest"]
    if not named:
        workers = min(MOST_WORKERS, (os.cpu_count() or 1) + 1)
        command += ["--numprocesses", str(workers), "--no-loadscope-reorder"]
        if "--all" not in arguments:
            command += ["-m", "not slow"]
    # Dots are seen as they come, also where nobody sits in front of a terminal.
    return subprocess.call(command + chosen, env=dict(os.environ, PYTHONUNBUFFERED="1"))


def check():
    """Run the linters and the type checker, all of them whatever they find."""
    schema = [PYTHON, "-m", "check_jsonschema", "--quiet", "--builtin-schema"]
    forms = [name for name in glob.glob(FORMS + "*.yml") if name != FORMS + "config.yml"]
    steps = (
        [PYTHON, "-m", "ruff", "check", "."],
        [PYTHON, "-m", "ruff", "format", "--check", "."],
        [PYTHON, "-m", "mypy", "-p", "prefect_mutagen"],
        [PYTHON, "-m", "mypy", "tests"],
        [os.path.join(PROGRAMS, "zizmor"), "--offline", "--strict-collection", "--quiet", "."],
        schema + ["vendor.github-workflows"] + glob.glob(".github/workflows/*.yml"),
        schema + ["vendor.github-issue-forms"] + forms,
        schema + ["vendor.github-issue-config", FORMS + "config.yml"],
        # The site, in .venv to be thrown away. A link that leads nowhere is an error, but not with
        # --quiet, which keeps the warning from being counted.
        [PYTHON, "-m", "mkdocs", "build", "--strict", "--site-dir", SITE],
    )
    environment = dict(os.environ, NO_MKDOCS_2_WARNING="1")
    return max(subprocess.call(step, env=environment) for step in steps)


def main():
    """Run one command and hand its exit status on."""
    command, rest = (sys.argv + [""])[1], sys.argv[2:]
    if command not in ("demo", "test", "check"):
        sys.exit(__doc__)
    if sys.version_info < OLDEST:
        sys.exit("run.py: Python 3.11 or newer is needed; this is %s" % sys.version.split()[0])
    prepare("query" if command == "demo" else "dev")
    if command == "demo":
        return subprocess.call([os.path.join(PROGRAMS, "prefect-mutagen"), "demo"] + rest)
    os.chdir(HERE)
    return test(rest) if command == "test" else check()


if __name__ == "__main__":
    sys.exit(main())
