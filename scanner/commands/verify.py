"""``prefect-mutagen verify``: exit 0 only if these artifacts, these bytes, pass.

Every address is looked at, whatever the others are like; the worst of them decides on the exit
status (`scanner.commands.answers.worst`).
"""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.commands.answers import Answer, as_json, as_lines, worst
from prefect_mutagen.scanner.commands.arguments import WrongUsage, filled, one_of
from prefect_mutagen.scanner.commands.remedies import complaint, missing_package
from prefect_mutagen.scanner.commands.shared import (
    UNREACHABLE,
    add_judging,
    add_pin,
    complain,
    explain_statuses,
    read_policy,
)
from prefect_mutagen.scanner.outputs.screen import Screen
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.local import storage_error
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.storage.options import load_options
from prefect_mutagen.scanner.storage.secret_parts import without_secrets_in
from prefect_mutagen.scanner.verify import ArtifactRejected, Known, verify_root

if TYPE_CHECKING:
    from prefect_mutagen.scanner.table.known_passes import PassesOfTable

__all__ = ["add_parser"]

_STATUSES: Final = """\
Of several addresses the worst decides: 4, 1, 3, 2, 0, in this order.
"""
_MESSAGE_BYTES: Final = 4096
"""What Kubernetes keeps of a container's termination message."""


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser("verify", help="exit 0 only if these artifacts pass")
    explain_statuses(parser, _STATUSES)
    parser.add_argument(
        "urls", metavar="URL", nargs="+", type=filled, help="a model file, or a folder"
    )
    add_pin(parser)
    parser.add_argument(
        "--table",
        metavar="URL",
        type=filled,
        help="accept by pin what the last scan into this table passed, without reading it; what "
        "else there is, is examined",
    )
    parser.add_argument(
        "--format",
        **one_of(("text", "json")),
        default="text",
        help="lines for people (default), or one JSON object with all answers",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="say nothing; the exit status is the answer"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=filled,
        help="write the answer to this file too, in 4096 bytes at most: a termination message of "
        "Kubernetes, such as /dev/termination-log",
    )
    add_judging(parser)
    parser.set_defaults(run=_run, refuse_rest=parser.refuse_rest)


def _run(options: argparse.Namespace) -> int:
    if options.pin is not None and len(options.urls) > 1:
        raise WrongUsage("--pin goes with one address; verify the others on their own")
    gate = _Gate(options)
    answers = gate.answers()
    status = worst([answer.status for answer in answers])
    if options.format == "json" and not options.quiet:
        sys.stdout.write(as_json(answers, status, gate.policy) + "\n")
    if options.output is None:
        return status
    if options.format == "json":
        message = as_json(answers, status, gate.policy, _MESSAGE_BYTES - 1) + "\n"
    else:
        message = as_lines(answers, _MESSAGE_BYTES)
    return status if gate.leave(message) else worst([status, UNREACHABLE])


class _Gate:
    """One run of the command."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._speaks = not options.quiet
        self.policy = ""
        """Digest of the policy; empty if it could not be read."""

    def answers(self) -> list[Answer]:
        """Answer for every address, and say so in lines where lines are asked for."""
        options = self._options
        try:
            policy = read_policy(options.policy)
            storage = load_options(options.storage_options or "")
            self.policy = policy_digest(policy)
            table = self._open_table(policy, storage)
        except (WrongUsage, ValueError, ModuleNotFoundError) as problem:
            # A policy that cannot be read lets nothing pass.
            said = missing_package(problem) if isinstance(problem, ImportError) else str(problem)
            answers = [_unreached(url, said) for url in options.urls]
            self._tell(answers[0])
            return answers

        def answer(url: str) -> Answer:
            known = self._known(table, url)
            try:
                found = verify_root(url, options.pin, policy, storage, known)
            except ArtifactRejected as rejection:
                return Answer.of_rejection(_clear(url), rejection)
            except StorageError as problem:
                return _unreached(url, complaint(problem, url))
            except ModuleNotFoundError as problem:
                return _unreached(url, f"{_clear(url)}: {missing_package(problem)}")
            except (OSError, ValueError) as problem:
                said = _reason(problem) if isinstance(problem, OSError) else str(problem)
                return _unreached(url, f"{_clear(url)}: {said}")
            return Answer.of_pass(_clear(url), found)

        return [self._tell(answer(url)) for url in options.urls]

    def _open_table(self, policy: Policy, storage: dict[str, Any]) -> "PassesOfTable | None":
        if self._options.table is None:
            return None
        # Verifying without a table needs neither this module nor pyarrow.
        from prefect_mutagen.scanner.table.known_passes import PassesOfTable

        return PassesOfTable(Address.parse(self._options.table), storage, policy)

    def _known(self, table: "PassesOfTable | None", url: str) -> Known | None:
        """Return what the table knows at an address; a table out of reach stops nobody."""
        if table is None:
            return None
        try:
            return table.below(Address.parse(url))
        except StorageError as problem:
            self._complain(f"--table: {problem}; everything is examined")
            return None

    def _tell(self, answer: Answer) -> Answer:
        if self._options.format == "text":
            for line in answer.lines():
                self._complain(line)
            if answer.verdict == "passed" and self._speaks:
                passed = Screen(sys.stdout).styled("passed", "passed")
                url = storable(answer.url)
                sys.stdout.write(f"{passed} {visible(url, len(url))} {answer.pin}\n")
        return answer

    def _complain(self, text: str) -> None:
        if self._speaks:
            complain(text)

    def leave(self, message: str) -> bool:
        """Write the message; return whether it could be written.

        A termination log is a file that Kubernetes mounts: it can be written to, not replaced.
        """
        path = os.path.expanduser(self._options.output)
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(path, "wb") as file:
                file.write(message.encode())
        except OSError as problem:
            self._complain(f"--output {path}: it cannot be written: {_reason(problem)}")
            return False
        return True


def _unreached(url: str, error: str) -> Answer:
    return Answer(_clear(url), UNREACHABLE, error=without_secrets_in(error))


def _clear(url: str) -> str:
    return without_secrets_in(url)


def _reason(problem: OSError) -> str:
    reason = storage_error(problem, "").reason
    return reason[:1].lower() + reason[1:]
