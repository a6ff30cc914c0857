"""Show in Prefect's UI how an agent ended: one page in Markdown, with the last lines it wrote."""

from collections.abc import Iterable
from typing import Final

from prefect.artifacts import create_markdown_artifact

from prefect_mutagen.scanner.agents.supervise import Guarantee, Outcome
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.tasks.showing import artifact_key, plain, waiver_lines

__all__ = ["LAST_LINES", "agent_markdown", "show_agent"]

LAST_LINES: Final = 40
_WIDTH: Final = 400
_GUARANTEES: Final[dict[Guarantee, str]] = {
    "kernel": "nothing it started is left: the kernel ended its PID namespace",
    "sweep": "all descendants that were found were ended; the kernel refused a PID namespace",
    "group": "its process group was ended; this system has no PID namespaces",
}


def show_agent(result: ScanResult, program: str, outcome: Outcome, last: Iterable[str]) -> None:
    """Attach the page to the current flow run.

    Args:
        result: The artifact it ran for.
        program: The first word of its command; the others may carry secrets.
        outcome: How it ended.
        last: The last lines it wrote.
    """
    create_markdown_artifact(
        markdown=agent_markdown(result, program, outcome, last),
        key=artifact_key("agent", result.url),
        description=f"How the agent for {visible(result.url, 1000)} ended.",
    )


def agent_markdown(result: ScanResult, program: str, outcome: Outcome, last: Iterable[str]) -> str:
    """Write the page. What the agent wrote stands in it as code, and nothing in it is obeyed."""
    ended = f"status {outcome.status}"
    if outcome.timed_out:
        ended = "ended because its time was up"
    elif outcome.status > 128:
        ended = f"ended by signal {outcome.status - 128}"
    lines = [
        f"# {plain(program)}: {ended}",
        "",
        f"* artifact: {plain(result.url, 1000)}",
        f"* pin: {plain(result.pin)}",
        f"* verdict: {result.verdict.status}",
        *waiver_lines(result),
        f"* processes: {_GUARANTEES[outcome.guarantee]}",
    ]
    # Indented code ends only with the indentation, so no line can leave it.
    code = [f"    {visible(line, _WIDTH)}" for line in last]
    lines += ["", "## Last lines", "", *(code or ["It wrote nothing."])]
    if outcome.truncated:
        lines += ["", "It wrote more than a megabyte; the log has the first megabyte."]
    return "\n".join(lines) + "\n"
