"""Exit statuses, and the options and complaints that several commands have in common."""

import argparse
import os
import sys
from typing import Final

from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy import Policy, load_policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.signing.check import check_signers
from prefect_mutagen.scanner.storage import StorageError, load_options
from prefect_mutagen.scanner.verify import ArtifactRejected, verify

__all__ = [
    "PASSED",
    "REJECTED",
    "UNREACHABLE",
    "add_judging",
    "add_storage",
    "complain",
    "complain_storage",
    "positive",
    "read_policy",
    "verified",
]

PASSED: Final = 0
REJECTED: Final = 1
UNREACHABLE: Final = 2


def add_judging(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes that reads storage and judges."""
    parser.add_argument("--policy", metavar="FILE", help="what is accepted, in YAML or JSON")
    add_storage(parser)


def add_storage(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes that reads storage."""
    parser.add_argument(
        "--storage-options",
        metavar="JSON",
        default="",
        help="options for the file system, as JSON or @FILE; without it the environment's "
        "PREFECT_MUTAGEN_STORAGE_OPTIONS, which keeps secrets off the command line",
    )


def positive(text: str) -> int:
    """Read an option's value that counts something."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def complain(text: str) -> None:
    """Say one line on stderr."""
    sys.stderr.write(f"prefect-mutagen: {visible(text, 2000)}\n")


def complain_storage(problem: StorageError) -> None:
    """Say what storage refused, and what to do."""
    remedy = CODES[problem.code].remedy
    if problem.code == "storage/not-found":
        remedy = "Check the address."  # it was named, not listed
    complain(f"{problem}. {remedy}")


def verified(options: argparse.Namespace) -> ScanResult | None:
    """Verify what the options name, and say what stands against it.

    Args:
        options: With ``url`` and ``pin``, and what `add_judging` added.

    Returns:
        The examination; None when the artifact is rejected.

    Raises:
        StorageError: It cannot be reached.
        OSError: The policy cannot be read.
        ValueError: Policy or storage options are none.
    """
    try:
        result = verify(
            options.url,
            options.pin,
            read_policy(options.policy),
            load_options(options.storage_options),
        )
    except ArtifactRejected as rejection:
        for reason in rejection.reasons:
            complain(f"{rejection.url}: {reason.code}: {reason.message}")
        return None
    for reason in result.verdict.waived:
        complain(f"{result.url}: {reason.code}: {reason.message}")
    return result


def read_policy(path: str | None) -> Policy:
    """Read the policy of ``--policy``.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no policy, or what it asks for is not installed; the message names the
            file and the field.
    """
    if path is None:
        return Policy()
    with open(path, "rb") as file:
        raw = file.read()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path}: the policy is not UTF-8 at byte {problem.start}") from None
    try:
        policy = load_policy(text, os.path.dirname(path))
        check_signers(policy.allowed_signers)
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None
    return policy
