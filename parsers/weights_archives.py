"""Recognise archives of weights by their entries: Keras, TorchScript, ``.pt2``, NeMo, ``.mar``.

A Keras archive is judged by its ``config.json``. The entries of the others may be pickles, which
`read_pickle` judges, and code, which is told here. ``torch.export`` archives hold a program as JSON
and weights as pickles or raw bytes; ``AOTInductor`` puts compiled libraries beside them. A ``.mar``
is run by TorchServe with the handler that its manifest names. NeMo instantiates what ``_target_``
of its YAML names: classes of NeMo and of its neighbours are expected there (CVE-2025-23304).

References: ``saving_lib.py`` of Keras, ``pt2_archive/constants.py`` of torch, ``model_packaging``
of TorchServe, ``save_restore_connector.py`` of NeMo.
"""

import re
from typing import Any, Final

from prefect_mutagen.parsers.byte_ranges import Budget, Reads, coalesce
from prefect_mutagen.parsers.byte_sources import FilePart
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.keras import CONFIG_LIMIT, judge_config, parse_json
from prefect_mutagen.parsers.pickle_archives import Archive
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.tar import read_members
from prefect_mutagen.parsers.weights_paths import leaves_folder
from prefect_mutagen.parsers.weights_report import WeightsReport, named_in_text
from prefect_mutagen.parsers.zip import ZipDirectory, ZipEntry, entry_range, read_directory

__all__ = ["read_packed_nemo", "read_weights_tar", "read_weights_zip"]

_CODE: Final = (".py", ".pyc", ".so", ".dll", ".dylib", ".sh", ".jar", ".cubin", ".whl")
_KERAS_PLAIN: Final = re.compile(r"[^/]*\.(?:json|h5)|assets/.*")
_TARGET: Final = re.compile(rb"""["']?_target_["']?\s*:\s*["']?([^\s"'#,}\]]*)""")
_TARGETS: Final = re.compile(
    r"(?:nemo|megatron|torch\.optim|torch\.nn|pytorch_lightning|lightning|torchaudio|torchmetrics"
    r"|transformers)\.[\w.]+"
)
"""What NeMo's own configs name."""
_DISGUISED: Final = re.compile(rb"""\0|"[^"\n]*\\[xuU\n][^"\n]*"\s*:""")
"""Keys that are spelled with escapes, and texts that are not in UTF-8."""
_ENTRY_LIMIT: Final = 1 << 14
_YAML_LIMIT: Final = 1 << 20


def read_weights_zip(source: FilePart, report: WeightsReport, budget: Budget) -> Reads[bool]:
    """Read a ZIP archive; return whether it is one of weights that are known here.

    Raises:
        HeaderError: It cannot be followed to its end.
    """
    head = yield from source.read(0, min(4, source.size))
    try:
        directory = yield from read_directory(source, report.errors, _ENTRY_LIMIT)
    except HeaderError:
        _promise(report)
        raise
    if directory is None:
        if head.startswith(b"PK"):
            _promise(report)
        if report.format:
            report.note(
                "zip/no-directory", source, 0, "archive", "an end record with a directory", "none"
            )
        return bool(report.format)
    keys = {entry.key: entry for entry in directory.entries}
    if not _recognise(keys, report):
        return False
    report.found = True
    _judge_paths(directory, report, source)
    if report.format == "keras":
        yield from _read_keras(source, directory, keys, report, budget)
        return True
    report.holds_pickles = True
    for entry in directory.entries:
        # The code of TorchScript is told by `read_pickle`, which knows its archives.
        if entry.key.endswith(_CODE) and report.format != "torchscript":
            _runs(report, source, entry)
    if report.format == "mar":
        yield from _read_manifest(source, directory, keys, report, budget)
    return True


def _recognise(keys: dict[str, ZipEntry], report: WeightsReport) -> bool:
    """Set the format by the names of entries, which loaders look for as well."""
    names = {key.rpartition("/")[2] for key in keys}
    if "config.json" in keys and ("metadata.json" in keys or report.name.endswith(".keras")):
        report.recognise("keras", "Keras archive", "keras")
    elif "mar-inf/manifest.json" in keys:
        report.recognise("mar", "TorchServe archive", "pytorch")
    elif "archive_format" in names or "serialized_exported_program.json" in names:
        report.recognise("pt2", "torch.export archive", "pytorch")
    elif "constants.pkl" in names and any("/code/" in f"/{key}" for key in keys):
        report.recognise("torchscript", "TorchScript archive", "pytorch")
    return bool(report.format)


def _promise(report: WeightsReport) -> None:
    """Take the format from the name: it is an archive, and its directory cannot be read."""
    forms = {".keras": "keras", ".mar": "mar", ".pt2": "pt2"}
    form = next((form for end, form in forms.items() if report.name.endswith(end)), "")
    if form:
        report.recognise(form, f"{form} archive by its name")
        report.found = True


def _judge_paths(directory: ZipDirectory, report: WeightsReport, source: FilePart) -> None:
    for entry in directory.entries:
        name = entry.raw_name.decode("utf-8", "replace")
        if leaves_folder(name) or leaves_folder(entry.name):
            at = max(0, min(entry.at, source.size))
            report.note(
                *("weights/outside-path", source, at, "entry", "a path within the archive"),
                shown(name),
            )


def _runs(report: WeightsReport, source: FilePart, entry: ZipEntry) -> None:
    at = max(0, min(entry.offset, source.size))
    report.note("weights/runs-code", source, at, "entry", "no code", shown(entry.name))


def _read_entries(
    source: FilePart,
    directory: ZipDirectory,
    entries: list[ZipEntry],
    report: WeightsReport,
    budget: Budget,
) -> Reads[list[tuple[ZipEntry, bytes]]]:
    """Return the bytes of small entries, in one read where they lie close to each other."""
    archive = Archive(source, directory, report.errors, budget)
    wanted = [entry_range(entry, CONFIG_LIMIT, source.size) for entry in entries]
    ranges = coalesce(source.missing(part.start, part.stop) for part in wanted)
    if ranges:
        yield from source.prefetch(ranges)
    read: list[tuple[ZipEntry, bytes]] = []
    for entry in entries:
        if max(entry.size, entry.compressed) > CONFIG_LIMIT:
            raise _beyond(source, entry)
        part = yield from archive.open(entry)
        data = yield from part.read(0, CONFIG_LIMIT + 1)
        if len(data) > CONFIG_LIMIT:
            raise _beyond(source, entry)
        read.append((entry, data))
    return read


def _beyond(source: FilePart, entry: ZipEntry) -> HeaderError:
    return make_error(
        "weights/unexamined",
        offset=source.locate(max(0, min(entry.offset, source.size))),
        field=shown(entry.name),
        expected=f"at most {CONFIG_LIMIT} bytes",
        found=f"{entry.size} bytes",
    )


def _read_keras(
    source: FilePart,
    directory: ZipDirectory,
    keys: dict[str, ZipEntry],
    report: WeightsReport,
    budget: Budget,
) -> Reads[None]:
    # Two entries of one name are an error of the archive; both are judged.
    entries = [
        entry
        for entry in directory.entries
        if entry.key in ("config.json", "metadata.json") and not entry.folder
    ]
    others = [key for key in keys if not _KERAS_PLAIN.fullmatch(key) and not keys[key].folder]
    report.holds_pickles = bool(others)  # model.weights.npz, and what else somebody put there
    for entry, data in (yield from _read_entries(source, directory, entries, report, budget)):
        at = max(0, min(entry.offset, source.size))
        config = parse_json(data, source, at, shown(entry.name))
        if entry.key == "metadata.json":
            version = config.get("keras_version") if isinstance(config, dict) else None
            if isinstance(version, str):
                report.details.append(f"Keras {named_in_text(version)}")
            continue
        objects = judge_config(config, report, source, at, model=True)
        report.details.append(f"{objects} objects")


def _read_manifest(
    source: FilePart,
    directory: ZipDirectory,
    keys: dict[str, ZipEntry],
    report: WeightsReport,
    budget: Budget,
) -> Reads[None]:
    entry = keys["mar-inf/manifest.json"]
    ((_, data),) = yield from _read_entries(source, directory, [entry], report, budget)
    at = max(0, min(entry.offset, source.size))
    manifest: Any = parse_json(data, source, at, shown(entry.name))
    model = manifest.get("model") if isinstance(manifest, dict) else None
    for key in ("handler", "serializedFile", "modelFile", "requirementsFile"):
        value = model.get(key) if isinstance(model, dict) else None
        if isinstance(value, str) and value:
            if leaves_folder(value):
                expected = "a file of the archive"
                report.note("weights/outside-path", source, at, key, expected, shown(value))
            elif key == "requirementsFile":
                expected = "no packages to install"
                report.note("weights/runs-code", source, at, key, expected, shown(value))
            elif key == "handler":
                report.details.append(f"handler {named_in_text(value)}")


def read_weights_tar(source: FilePart, report: WeightsReport) -> Reads[bool]:
    """Read a tar archive; return whether it is one of weights that are known here.

    Raises:
        HeaderError: It cannot be followed to its end.
    """
    if report.name.endswith(".nemo"):
        report.recognise("nemo", "NeMo archive", "nemo")
    members = yield from read_members(source, links=True)
    named = [(name, member) for member in members for name in (member.name, *member.paths)]
    names = {name.removeprefix("./") for name, _ in named}
    if any(name.rpartition("/")[2] == "model_config.yaml" for name in names):
        report.recognise("nemo", "NeMo archive", "nemo")
    elif "MAR-INF/MANIFEST.json" in names:
        report.recognise("mar", "TorchServe archive", "pytorch")
    if not report.format:
        return False
    report.found = report.holds_pickles = True
    configs: dict[int, int] = {}
    for name, member in named:
        at = min(member.offset, source.size)
        if leaves_folder(name):
            expected = "a path within the archive"
            report.note("weights/outside-path", source, at, "member", expected, shown(name))
        if name.lower().endswith(_CODE):
            report.note("weights/runs-code", source, at, "member", "no code", shown(name))
        if name.lower().endswith((".yaml", ".yml")) and member.size:
            configs[member.offset] = member.size
    for offset, size in configs.items():
        yield from _read_targets(source, offset, size, report)
    return True


def read_packed_nemo(source: FilePart, report: WeightsReport) -> Reads[bool]:
    """Name a NeMo archive that is compressed as a whole: it cannot be read by ranges."""
    yield from ()
    report.recognise("nemo", "NeMo archive, compressed", "nemo")
    report.note(
        *("weights/unexamined", source, 0, "archive", "an archive that is not compressed"),
        "gzip",
    )
    return True


def _read_targets(source: FilePart, at: int, size: int, report: WeightsReport) -> Reads[None]:
    """Judge what a YAML config has instantiated; its text decides, anchors and all."""
    raw = (yield from source.read(at, at + min(size, _YAML_LIMIT)))[:size]
    if size > _YAML_LIMIT:
        report.note(
            *("weights/unexamined", source, at, "config", f"at most {_YAML_LIMIT} bytes"),
            str(size),
        )
    if _DISGUISED.search(raw):
        expected, found = "keys as plain text", "keys with escapes, or another encoding"
        report.note("weights/unreadable", source, at, "config", expected, found)
    for match in _TARGET.finditer(raw):
        target = match[1].decode("utf-8", "replace")
        if not _TARGETS.fullmatch(target) or "__" in target:
            expected = "a class of NeMo or of what it builds on"
            report.note(
                *("weights/runs-code", source, at + match.start(1), "_target_", expected),
                shown(target),
            )
