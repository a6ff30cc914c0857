"""Codes of findings about the code that comes with a model."""

from typing import Final

from prefect_mutagen.scanner.codes.code import Code

__all__ = ["REMOTE_CODE_CODES"]

REMOTE_CODE_CODES: Final = {
    "code/remote": Code(
        "warning",
        "The model comes with code of its own, which a loader runs once it is allowed to "
        "(trust_remote_code).",
        "Read the modules; list their SHA-256 values in the policy's allowed_code with "
        "remote_code: pinned, or load the model without consent to remote code.",
    ),
    "code/other-repository": Code(
        "warning",
        "A configuration has a loader fetch and run code of another repository, whose content can "
        "change at any time; no pin covers it.",
        "Copy that code into the model and name it there, or fetch it at a fixed revision.",
    ),
    "code/hub-kernel": Code(
        "warning",
        "A configuration names a compute kernel of a repository, which transformers fetches and "
        "runs; no pin covers it.",
        "Remove the key, or set attn_implementation yourself when the model is loaded.",
    ),
    "code/imported-name": Code(
        "warning",
        "A configuration states the name of a Python module that a loader imports, whatever is "
        "installed under that name; no pin covers it.",
        "Find out what the name stands for where the model is loaded; remove the key if it is not "
        "needed.",
    ),
    "code/outside": Code(
        "error",
        "A configuration names code by a path that leads out of the model's folder.",
        "Do not load the model; no tool writes such a path.",
    ),
    "code/missing": Code(
        "warning",
        "Code that a loader runs is not among the model's files: the load fails, or runs what "
        "somebody puts there later.",
        "Fetch the missing module from the model's publisher, or remove the key that names it.",
    ),
    "code/unparsed": Code(
        "warning",
        "A module is not valid Python or is very large, so that its imports were found by their "
        "text alone.",
        "Read the module before it is run; fetch it again if it should be valid.",
    ),
    "code/unexamined": Code(
        "error",
        "Code that a loader runs was not examined: it is beyond the scanner's limits, or could not "
        "be read.",
        "Read it by hand; check the permissions of the file if it could not be read.",
    ),
    "code/unreached": Code(
        "info",
        "There are Python files that no loader is known to run.",
        "No action is needed; do not run them unread.",
    ),
}
