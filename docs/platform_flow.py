"""An example platform: scan → gate → evaluation agent → registry update, in one flow.

    python docs/platform_flow.py s3://models registry.json evaluate --quick

The evaluation is any program: it reads the handoff (docs/handoff.md) from its standard input and
ends with status 0 when the model is fit for use. The registry is a JSON file; put yours in place.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task

from prefect_mutagen.flows import run_agent, scan_models
from prefect_mutagen.scanner import Policy, verify


@task
def update_registry(registry: str, url: str, pin: str) -> None:
    """Write one model into the registry, by pin, so that nobody has to trust a path later."""
    path = Path(registry)
    models: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    models[url] = {"pin": pin, "status": "evaluated"}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(models, indent=2))
    os.replace(partial, path)


@flow
def admit_models(source: str, registry: str, evaluation: list[str]) -> list[str]:
    """Scan a root, evaluate what passed, and register what was evaluated well."""
    logger = get_run_logger()
    policy = Policy(denied_licenses=("cc-by-nc-4.0",))
    summary = scan_models(source, policy=policy)
    admitted = []
    for url in summary.passed:
        pin = verify(url, policy=policy).pin
        evaluated = run_agent(
            evaluation, url, pin=pin, policy=policy, timeout_seconds=600, return_state=True
        )
        if not evaluated.is_completed():
            logger.warning("not admitted: %s: %s", url, evaluated.message)
            continue
        update_registry(registry, url, pin)
        admitted.append(url)
    return admitted


if __name__ == "__main__":
    admit_models(sys.argv[1], sys.argv[2], sys.argv[3:])
