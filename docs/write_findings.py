"""Write docs/findings.md from the table of codes; run it after a code was added."""

from pathlib import Path

from prefect_mutagen.scanner.findings import CODES

HEAD = """\
# Finding codes

Every finding has a stable code; what a code means never changes. An `error` fails the gate, a
`warning` does when the policy says `fail_on: warning`, an `info` never does. What begins with
`storage/` or `scan/` says that the artifact was not seen: its verdict is `unknown`, which starts
nothing either.

This page is written by `python docs/write_findings.py`.
"""
FAMILIES = {
    "gguf": "GGUF headers",
    "safetensors": "safetensors headers",
    "set": "Sets of shards, and what lies beside a model",
    "sbom": "The document, and the files beside a model",
    "template": "Chat templates",
    "signature": "Signatures and attestations",
    "storage": "Storage",
    "scan": "The scan itself",
    "policy": "Policy (reasons of a verdict, not findings)",
}


def page() -> str:
    """Give the page's text."""
    lines = [HEAD]
    for family, title in FAMILIES.items():
        lines += [f"## {title}", "", "| code | severity | what it means | what to do |"]
        lines.append("|---|---|---|---|")
        for name, code in CODES.items():
            if name.startswith(f"{family}/"):
                cells = [f"`{name}`", code.severity, code.meaning, code.remedy]
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    Path(__file__).with_name("findings.md").write_text(page(), encoding="utf-8")
