#!/opt/mutagen/bin/python
"""KServe's storage initializer with a gate: ``SOURCE TARGET [SOURCE TARGET]...``.

Each source is verified before anything is downloaded: by its headers, or by its pin and the table
of the last scan. What was downloaded is verified again, because that is what the server loads. What
does not pass is deleted, and the pod does not start.

Environment: ``MUTAGEN_POLICY`` and ``MUTAGEN_TABLE`` name a policy file and a table, if there are
any; ``MUTAGEN_MESSAGE`` the file of the termination message. Credentials come as for
prefect-mutagen: from ``AWS_...`` variables and roles, or PREFECT_MUTAGEN_STORAGE_OPTIONS.

Exit status: that of ``prefect-mutagen verify``; 2 also if the download fails.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import fsspec

from prefect_mutagen.scanner.storage.options import load_options

UNREACHABLE = 2


def main(words: Sequence[str]) -> int:
    """Verify, download and verify again; return the exit status."""
    if not words or len(words) % 2 or not all(words):
        return fail("usage: storage_initializer.py SOURCE TARGET [SOURCE TARGET]...")
    pairs = list(zip(words[::2], words[1::2], strict=True))
    table = option("--table", "MUTAGEN_TABLE")
    status = verify([source for source, _ in pairs], table)
    if status:
        return status
    for source, target in pairs:
        try:
            download(source, target)
        except Exception as problem:  # noqa: BLE001 - every file system raises its own errors
            # Without its text, which may quote addresses with secrets.
            empty(target)
            return fail(f"the download failed: {type(problem).__name__}")
    status = verify([target for _, target in pairs], [])
    if status:
        for _, target in pairs:
            empty(target)
    return status


def verify(places: Sequence[str], more: Sequence[str]) -> int:
    """Verify sources or targets, and leave a message for Kubernetes."""
    words = ["verify", *places, *more, *option("--policy", "MUTAGEN_POLICY"), "--output", message()]
    return subprocess.run(["prefect-mutagen", *words], check=False).returncode  # noqa: S603, S607 - that of the image


def option(name: str, variable: str) -> list[str]:
    """Return an option with the value of a variable; nothing where that is not set."""
    return [name, os.environ[variable]] if variable in os.environ else []


def download(source: str, target: str) -> None:
    """Copy a file, or all that lies below a folder, into a folder."""
    files, path = fsspec.core.url_to_fs(source, **load_options())
    os.makedirs(target, exist_ok=True)
    if files.isfile(path):
        files.get_file(path, os.path.join(target, os.path.basename(path.rstrip("/"))))
        return
    root, names = os.path.realpath(target), files.find(path)
    targets = [os.path.normpath(f"{root}/{name[len(path) :].strip('/')}") for name in names]
    if not names or not all(place.startswith(f"{root}/") for place in targets):
        raise ValueError("there is nothing, or a name leads out of the folder")
    for place in targets:
        os.makedirs(os.path.dirname(place), exist_ok=True)
    files.get(names, targets)


def empty(target: str) -> None:
    """Delete what lies in a folder."""
    for entry in os.scandir(target) if os.path.isdir(target) else ():
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def fail(text: str) -> int:
    """Say why on stderr and in the message; return the exit status."""
    sys.stderr.write(f"{text}\n")
    with open(message(), "w", encoding="utf-8") as file:
        file.write(f"{text}\n")
    return UNREACHABLE


def message() -> str:
    """Return the file of the termination message."""
    return os.environ.get("MUTAGEN_MESSAGE", "/dev/termination-log")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
