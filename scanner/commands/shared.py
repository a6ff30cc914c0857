"""Exit statuses, options and messages shared by several subcommands."""

import argparse
import os
import sys
from typing import Final

from prefect_mutagen.scanner.commands.arguments import filled
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.overrides import signers_of
from prefect_mutagen.scanner.policy.policy import Policy, load_policy
from prefect_mutagen.scanner.policy.waiver_text import waiver_lines
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.signing.check import check_signers
from prefect_mutagen.scanner.storage.local import storage_error
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.storage.options import load_options
from prefect_mutagen.scanner.storage.secret_parts import without_secrets_in
from prefect_mutagen.scanner.verdicts import Reason
from prefect_mutagen.scanner.verify import ArtifactRejected, verify_root

__all__ = [
    "OTHER_PIN",
    "PASSED",
    "REJECTED",
    "UNEXAMINED",
    "UNREACHABLE",
    "add_judging",
    "add_pin",
    "add_storage",
    "complain",
    "complain_of_rejection",
    "complaint_of",
    "explain_statuses",
    "read_policy",
    "status_of",
    "verified",
]

PASSED: Final = 0
REJECTED: Final = 1
UNREACHABLE: Final = 2
"""Also for wrong usage, and for an address that does not exist."""
UNEXAMINED: Final = 3
OTHER_PIN: Final = 4
_STATUSES: Final = """\
exit status:
  0  passed: these bytes may be loaded
  1  refused: the policy or a check says no
  2  wrong usage, an address that names no model, or storage out of reach
  3  it could not be examined, so that nothing is known of it
  4  its bytes are not those of --pin
"""


def add_judging(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that reads storage and judges."""
    parser.add_argument("--policy", type=filled, metavar="FILE", help="the policy, in YAML or JSON")
    add_storage(parser)


def explain_statuses(parser: argparse.ArgumentParser, more: str) -> None:
    """Put the exit statuses of a gate below the help of its command.

    Args:
        parser: That of the command.
        more: What is to be said besides, in lines.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _STATUSES + more


def add_pin(parser: argparse.ArgumentParser) -> None:
    """Add the option for the pin of one artifact."""
    parser.add_argument(
        "--pin", type=filled, help="accept only the bytes pinned by an earlier scan"
    )


def add_storage(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that reads storage."""
    parser.add_argument(
        "--storage-options",
        metavar="JSON",
        type=filled,
        help="options of the file system, as JSON or @FILE; or the variable "
        "PREFECT_MUTAGEN_STORAGE_OPTIONS, which keeps secrets off the command line",
    )


def complain(text: str) -> None:
    """Write one line to stderr; addresses in it lose their secrets."""
    sys.stderr.write(f"prefect-mutagen: {visible(without_secrets_in(text), 2000)}\n")


def complain_of_rejection(rejection: ArtifactRejected) -> int:
    """Report why an artifact was rejected, one line per reason, and return the exit status."""
    if rejection.result is None:
        complain(f"{storable(rejection.url)}: {rejection.reasons[0].message}")
    else:
        for place, reason in zip(rejection.places, rejection.reasons, strict=True):
            complain(complaint_of(place, reason))
    return status_of(rejection)


def status_of(rejection: ArtifactRejected) -> int:
    """Return the exit status for an artifact that was rejected."""
    if rejection.result is None:
        return UNREACHABLE
    if rejection.reasons and rejection.reasons[0].code in ("storage/other-pin", "storage/weak-pin"):
        return OTHER_PIN
    _show_waiver(rejection.result)
    return UNEXAMINED if rejection.result.verdict.status == "unknown" else REJECTED


def _show_waiver(result: ScanResult) -> None:
    """Print the waiver to paste where a person reads; a log has the reasons, a sentence each."""
    lines = waiver_lines(result) if sys.stderr.isatty() else ()
    if lines:
        said = ("to allow it for a while, paste this into the policy, and fill in what is empty:",)
        sys.stderr.write("\n".join((*said, *lines)) + "\n")


def verified(options: argparse.Namespace) -> ScanResult:
    """Verify the artifact of the options, and report waived reasons.

    Args:
        options: With an address, and those of `add_pin` and `add_judging`.

    Returns:
        The examination.

    Raises:
        ArtifactRejected: It does not pass, or its bytes are not the pinned ones.
        StorageError: It cannot be reached.
        ValueError: Policy or storage options are invalid.
    """
    found = verify_root(
        options.url,
        options.pin,
        read_policy(options.policy),
        load_options(options.storage_options or ""),
    )
    for place, reason in found.waived:
        complain(complaint_of(place, reason))
    return found.result


def complaint_of(place: str, reason: Reason) -> str:
    """Return the line about one reason, and the file or artifact that it is about."""
    said = reason.message.removeprefix(f"{place}: ")  # storage errors start with the address
    return f"{storable(place)}: {reason.code}: {said}"


def read_policy(path: str | None) -> Policy:
    """Read the policy of ``--policy``.

    Raises:
        ValueError: The file cannot be read or is not a valid policy, or needs a package that is not
            installed; the message names the file and the field.
    """
    if path is None:
        return Policy()
    place = os.path.expanduser(path)
    try:
        with open(place, "rb") as file:
            text = file.read().decode("utf-8-sig")
        policy = load_policy(text, os.path.dirname(place))
        check_signers(signers_of(policy))
    except OSError as problem:
        raise ValueError(f"--policy {path}: {storage_error(problem, path).reason}") from None
    except UnicodeDecodeError as problem:
        raise ValueError(f"--policy {path}: it is not UTF-8 at byte {problem.start}") from None
    except ValueError as problem:
        raise ValueError(f"--policy {path}: {problem}") from None
    return policy
