"""Show in Prefect's UI how an agent ended, with the last lines of its output."""

from collections.abc import Iterable
from typing import Final

from prefect.artifacts import create_markdown_artifact

from prefect_mutagen.scanner.agents.supervise import Guarantee, Outcome
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.tasks.markdown import artifact_key, plain, waived_lines

__all__ = ["LAST_LINES", "agent_markdown", "show_agent"]

LAST_LINES: Final = 40
_WIDTH: Final = 400
_GUARANTEES: Final[dict[Guarantee, str]] = {
    "kernel": "all were ended: the kernel ended their PID namespace",
    "sweep": "all descendants found were ended; a PID namespace was refused by the kernel",
    "group": "the process group was ended; this system has no PID namespaces",
}


def show_agent(result: ScanResult, program: str, outcome: Outcome, last: Iterable[str]) -> None:
    """Attach the page to the current flow run.

    Args:
        result: The artifact it ran for.
        program: Its command, as it is shown.
        outcome: How it ended.
        last: The last lines of its output.
    """
    create_markdown_artifact(
        markdown=agent_markdown(result, program, outcome, last),
        key=artifact_key("agent", result.url),
        description=f"How the agent for {visible(storable(result.url), 1000)} ended.",
    )


def agent_markdown(result: ScanResult, program: str, outcome: Outcome, last: Iterable[str]) -> str:
    """Return the page in Markdown; the agent's output is indented code, never interpreted."""
    ended = f"status {outcome.status}"
    if outcome.timed_out:
        ended = "ended by its time limit"
    elif outcome.status > 128:
        ended = f"ended by signal {outcome.status - 128}"
    lines = [
        f"# {plain(program)}: {ended}",
        "",
        f"* artifact: {plain(storable(result.url), 1000)}",
        f"* pin: {plain(result.pin)}",
        f"* verdict: {result.verdict.status}",
        *waived_lines(result),
        f"* processes: {_GUARANTEES[outcome.guarantee]}",
    ]
    # A code block ends only where indentation ends, so no line can break out of it.
    code = [f"    {visible(line, _WIDTH)}" for line in last]
    lines += ["", "## Last lines", "", *(code or ["It wrote nothing."])]
    if outcome.truncated:
        lines += ["", "It wrote more than a megabyte; the log has the first megabyte."]
    return "\n".join(lines) + "\n"
