"""Tables as large as one likes, with weeks of history, for the page about a table."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

from prefect_mutagen.scanner import Policy, ScanResult
from prefect_mutagen.scanner.agents.start_record import Claim, Start, StartRecord
from prefect_mutagen.scanner.census import Census
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.policy.policy import Owner, Waiver, judge
from prefect_mutagen.scanner.results import ObjectResult, Sbom, Summary
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.verdicts import Verdict

__all__ = ["NOW", "POLICY", "ROOT", "STRICTER", "judged", "model", "scan_at", "write_history"]

ROOT: Final = "s3://models/hub"
NOW: Final = datetime(2026, 11, 27, 7, 0, tzinfo=UTC)
_FAMILIES: Final = (
    ("meta-llama", "Llama-3.1-8B-Instruct", "llama", "llama3.1", 8_030_261_248),
    ("mistralai", "Mistral-Small-24B", "mistral", "apache-2.0", 23_572_403_200),
    ("Qwen", "Qwen3-32B", "qwen3", "apache-2.0", 32_762_123_264),
    ("google", "gemma-3-12b-it", "gemma3", "gemma", 12_187_325_040),
    ("microsoft", "Phi-4-mini", "phi3", "mit", 3_836_021_760),
    ("research-lab", "summarizer-v2", "llama", "cc-by-nc-4.0", 1_235_814_400),
    ("BAAI", "bge-large-en", "bert", "mit", 335_141_888),
    ("deepseek-ai", "DeepSeek-R1-Distill-70B", "llama", "mit", 70_553_706_496),
    ("ibm-granite", "granite-4-micro", "granite", "apache-2.0", 3_402_836_480),
    ("team-search", "reranker", "xlm-roberta", "", 567_755_777),
)
_QUANTIZATIONS: Final = (("gguf", "Q4_K_M", 0.6), ("gguf", "Q8_0", 1.06), ("safetensors", "", 2.0))
_LICENSES: Final = {
    "llama3.1": "LicenseRef-llama3.1",
    "gemma": "LicenseRef-gemma",
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "": None,
}
POLICY: Final = Policy(
    waivers=(
        Waiver(
            "template/escape",
            f"{ROOT}/mistralai/*",
            "reviewed by hand, the template is inert",
            "platform@example.org",
            "2026-12-05",
        ),
        Waiver(
            "pickle/forbidden-global",
            f"{ROOT}/old/*",
            "migration to safetensors",
            "search@example.org",
            "2027-02-28",
        ),
    )
)
STRICTER: Final = replace(POLICY, denied_licenses=("cc-by-nc-*",))


def scan_at(moment: datetime, policy: Policy, root: str = ROOT) -> ScanInfo:
    """Return a scan that started at a moment."""
    scan_id = f"{moment:%Y%m%dT%H%M%S%fZ}-0000abcd"
    return ScanInfo(scan_id, root, moment.isoformat(), "0.2.0", policy)


def model(number: int, moment: datetime, root: str = ROOT) -> ScanResult:
    """Return a model without findings and without a verdict; a number is always the same one."""
    count = len(_FAMILIES)
    owner, name, architecture, license_, parameters = _FAMILIES[number % count]
    form, quantization, factor = _QUANTIZATIONS[number // count % len(_QUANTIZATIONS)]
    version = number // (count * len(_QUANTIZATIONS))
    stem = f"{name}-{quantization}" if quantization else "model"
    url = f"{root}/{owner}/{name}/v{version}/{stem}.{form}"
    size = int(parameters * factor)
    drawn = random.Random(number)
    pin = f"{drawn.getrandbits(256):064x}"
    sbom = Sbom(
        sbom_version="1.0",
        generated_at=moment.isoformat(),
        tool_name="prefect-mutagen",
        tool_version="0.2.0",
        model_path=url,
        model_filename=url.rpartition("/")[2],
        file_size_bytes=size,
        sha256=f"{drawn.getrandbits(256):064x}",
        format=form,
        architecture=architecture,
        parameter_count=parameters,
        quantization=quantization or None,
        dtype=None if quantization else "bfloat16",
        license=license_ or None,
    )
    return ScanResult(
        url=url,
        kind="file",
        pin=pin,
        objects=(ObjectResult(url, size, f"etag:{pin[:32]}"),),
        sbom=sbom,
        license_spdx=_LICENSES[license_],
        sources={"license": "README.md"} if license_ else {},
        facts={"organization": owner},
        header_sha256=pin[::-1],
        sha256_source="etag",
        findings=(),
        verdict=Verdict("passed"),
        modified=(NOW - timedelta(days=30 + number % 400, minutes=number)).timestamp(),
        neighbours={"README.md": f"etag:{pin[:8]}"},
    )


_PROBLEMS: Final = (
    ("gguf/truncated", "the header ends at byte {}, in the key tokenizer.ggml.tokens"),
    ("pickle/forbidden-global", "it would call posix.system, at byte {} of archive/data.pkl"),
    ("template/escape", "the chat template reaches cycler.__init__.__globals__ at character {}"),
    ("storage/denied", "permission denied; request {}"),
    ("set/missing-shard", "shard 3 of 7 is missing, {} bytes are named by the index"),
)
_WARNED: Final = "sbom/quantization-disagrees"


def _troubled(result: ScanResult, number: int, *, is_new: bool) -> ScanResult:
    """Give a model the problem that its number has, if it has one by now."""
    share = number % 23
    if share == 5 and not is_new and number % 46 == 5:
        return result
    if share in (1, 5, 11):
        place = 2 if share == 1 else number // 23 + share // 11
        code, message = _PROBLEMS[place % len(_PROBLEMS)]
        found = make_finding(code, message.format(1000 + number * 37), url=result.url)
        found = replace(found, offset=1000 + number * 37)
        if is_new and share == 5:
            result = replace(result, pin=result.pin[::-1], modified=NOW.timestamp() - 9000)
        return replace(result, findings=(found,))
    if share == 2:
        message = "the file says Q4_K_M, its tensors are Q8_0"
        return replace(result, findings=(make_finding(_WARNED, message, url=result.url),))
    return result


def judged(
    numbers: Sequence[int], moment: datetime, policy: Policy = POLICY, *, is_new: bool = True
) -> Iterator[ScanResult]:
    """Yield models, some of which have problems, with their verdicts.

    Args:
        numbers: Which models.
        moment: When they are judged.
        policy: What they are judged by.
        is_new: Whether the problems are there that the last scan finds.
    """
    for number in numbers:
        result = _troubled(model(number, moment), number, is_new=is_new)
        yield replace(result, verdict=judge(result.subject(), policy, moment))


def write_history(table: str, models: int, scans: int = 3, owners: tuple[Owner, ...] = ()) -> None:
    """Write a table with a history: the last scan finds more problems, under a stricter policy.

    Args:
        table: A local folder.
        models: Models of the last scan.
        scans: How many scans there were, a day and a bit apart.
        owners: Whose models are by its policies.
    """
    for number in range(scans):
        is_new = number == scans - 1
        moment = NOW - timedelta(hours=29 * (scans - 1 - number))
        policy = replace(STRICTER if is_new else POLICY, owners=owners)
        # Some models come and go with each scan.
        chosen = [one for one in range(models) if is_new or (one + number) % 31]
        chosen += [] if is_new else range(models, models + 1 + models // 200)
        census = Census()
        census.count("weights", "examined", 9 << 30, models)
        census.count("config", "examined", 4000 * models, 2 * models)
        census.count("other", "not-understood", 1 << 20, 1 + models // 50)
        census.count("other-weights", "named", 7 << 30, 1 + models // 100)
        summary = Summary(census=census, bytes_read=models * 135_000, requests=models)
        summary.finished_at = (moment + timedelta(minutes=4)).isoformat()
        store = Table(table, ROOT)
        scan = scan_at(moment, policy)
        counted = _counted(judged(chosen, moment, policy, is_new=is_new), summary)
        store.write(scan, counted, summary)
    _start_agents(table, models)


def _counted(results: Iterator[ScanResult], summary: Summary) -> Iterator[ScanResult]:
    for result in results:
        summary.add(result)
        yield result


def _start_agents(table: str, models: int) -> None:
    """Start agents for some models, among them those that are refused now."""
    record = StartRecord(table, flow_run="5f0c3a52-2c1b-4a86-9d0e-6f6a5f7f1c11")
    for number, agent in product(range(5, min(models, 400), 23), ("summarize", "index")):
        known = model(number, NOW)
        about = {"agent": agent, "url": known.url, "pin": known.pin, "source": ROOT}
        claim = record.claim(Start(f"{number:08x}{agent}", about))
        assert isinstance(claim, Claim)
        record.finish(claim, "completed")
