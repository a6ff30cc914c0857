"""Write results in a format, and results whose every text is one nasty value."""

import difflib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect_mutagen.scanner import ScanResult, scan
from prefect_mutagen.scanner.content.licenses import spdx_expression
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.results import ObjectResult, Summary
from prefect_mutagen.scanner.verdicts import Reason, Verdict

__all__ = ["HUGE", "NASTY", "SCAN", "Difference", "Golden", "differences", "made_of", "write"]

SCAN = ScanInfo("20260102T030405Z-0a", "/models", "2026-01-02T03:04:05.678901+00:00", "0.1.0")
NASTY = {
    "tame": "tame",
    "controls": "\x00\x1b[31mred\x9b0m\x07\r\x7f",
    "newline-tag": "MIT\nPackageName: forged\nSPDXID: SPDXRef-forged\n",
    "end-of-text": "a</text>\nRelationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-x\n<TEXT></Text>b",
    "start-of-text": "<text>swallows what follows",
    "json": '"},{"SPDXID":"SPDXRef-forged',
    "yaml-document": "---\nlicense: mit\n---\n",
    "yaml-tag": "!!python/object/apply:os.system [x]",
    "yaml-anchor": "&a *a : {b: [c]} # d",
    "yaml-no": "no",
    "yaml-number": "1e3",
    "table": "| a | b |\n|---|---|\n\\| c \\\\| d",
    "link": "[click](javascript:alert(1)) ![x](http://evil.example/x.png) [a]: http://evil.example",
    "bare-link": "https://evil.example/ www.evil.example mailto:a@evil.example <http://evil.example>",
    "html": "<script>alert(1)</script><!-- &lt;b&gt; <b>",
    "backticks": "`` ` ``` code ``",
    "backtick": "`",
    "fence": "```sh\nrm -rf /\n```",
    "heading": "# forged\n===\n",
    "heading-end": "# a ##",
    "list": "- forged",
    "numbered": "1. forged",
    "emphasis": "**b** __c__ ~~d~~ _e_ a_b $$f$$ \\",
    "template": "[/INST] [bold]x[/bold] {{7*7}} {% x %}",
    "surrogates": "bad-\udcff\ud800",
    "directions": "\u202etxt\u2028\u2029\u2066\ufeff",
    "none": "NONE",
    "noassertion": "NOASSERTION",
    "tag-name": "PackageName",
    "actor": "Tool: forged",
    "checksum": "SHA256: abc",
    "moment": "2026-01-02T03:04:05Z",
    "spaces": "  two  ",
    "id": "SPDXRef-DOCUMENT",
}
HUGE = {
    "letters": "x" * 10_000_000,
    "backticks": "`" * 10_000_000,
    "line-ends": "\n" * 10_000_000,
    "marks": "</text>\n" * 1_000_000,
}


def write(
    form: str,
    results: Iterable[ScanResult],
    options: OutputOptions | None = None,
    info: ScanInfo = SCAN,
) -> str:
    """Write results in a format."""
    out = io.StringIO()
    writer_of(form)(iter(results), info, Summary(), out, options or OutputOptions())
    return out.getvalue()


def made_of(value: str, root: str, name: str | None = None) -> ScanResult:
    """Give the result of a model that says one value wherever it can say anything.

    Args:
        value: What it says.
        root: A folder with one model, which the result is made from.
        name: The file's name; made of the value too by default.
    """
    (result,) = scan(root, hash="full")
    file = name or f"{value.replace('/', ':')}.gguf"
    short = value[: 1 << 16]  # longer ones are cut before
    metadata: dict[str, Any] = {
        "general.name": short,
        "general.size_label": short,
        "general.license.link": short,
        "general.tags": [short, 1, None],
        "general.languages": [short, 1.5],
        "nan": None,
        f"key {value[:1000]}": [short, {"inner": short}],
    }
    sbom = replace(
        result.sbom,
        model_path=f"/home/someone/{file}",
        model_filename=file,
        architecture=value,
        quantization=value,
        dtype=value,
        license=value,
        base_model=value,
        training_framework=value,
        metadata=metadata,
        warnings=(value, "/home/someone/x: denied"),
    )
    small = value[:1000]
    facts = dict.fromkeys(("license_name", "license_link", "library", "pipeline", "version"), small)
    more = {"tags": [small], "languages": [small], "adapter": {"type": small}, small: 1}
    finding = Finding("gguf/truncated", "error", f"it says {value}", f"/home/someone/{file}")
    reason = Reason("gguf/truncated", "fail_on", value, f"it says {value}")
    return replace(
        result,
        url=f"/home/someone/{file}",
        objects=(ObjectResult(f"/home/someone/{file}", 1, "pin", sbom),),
        sbom=sbom,
        license_spdx=spdx_expression(value, value),
        sources={"license": small},
        facts=facts | more,
        findings=(finding,),
        verdict=Verdict("failed", (reason,)),
        drift=None,
    )


@dataclass(frozen=True)
class Difference:
    """Lines that differ from l-bom's, and why."""

    name: str
    """The input; ``*``: any."""
    theirs: str | None
    """Pattern of the whole line; None: they have none."""
    ours: str | None
    why: str
    """Row in the documentation ("Coming from l-bom"), and what it says."""


def differences(
    name: str, theirs: list[str], ours: list[str], listed: Iterable[Difference]
) -> Iterator[Difference | str]:
    """Compare line by line.

    Yields:
        For each line that differs its entry, or the line itself where it has none.
    """
    known = [entry for entry in listed if entry.name in ("*", name)]
    matcher = difflib.SequenceMatcher(None, theirs, ours, autojunk=False)
    for what, first, last, start, end in matcher.get_opcodes():
        if what == "equal":
            continue
        for side, lines in (("theirs", theirs[first:last]), ("ours", ours[start:end])):
            for line in lines:
                patterns = ((entry, getattr(entry, side)) for entry in known)
                yield next(
                    (one for one, fit in patterns if fit is not None and re.fullmatch(fit, line)),
                    f"{side}: {line}",
                )


@dataclass(frozen=True)
class Golden:
    """What l-bom wrote in one format, and all in which we differ."""

    form: str
    ending: str
    """Of the recorded files' names."""
    inputs: tuple[str, ...]
    listed: tuple[Difference, ...]

    def compare(self, name: str, inputs: Path, recorded: Path) -> list[Difference | str]:
        """Give what `differences` finds for one input."""
        theirs = (recorded / f"{name}{self.ending}").read_text().splitlines()
        info = replace(SCAN, source=f"/golden/{name}")
        ours = write(self.form, scan(str(inputs / name), hash="full"), info=info).splitlines()
        return list(differences(name, theirs, ours, self.listed))

    def unseen(self, inputs: Path, recorded: Path) -> set[Difference]:
        """Give the listed differences that no input shows."""
        found = {entry for name in self.inputs for entry in self.compare(name, inputs, recorded)}
        return set(self.listed) - found
