"""Read weights that are neither GGUF nor safetensors nor pickles, by ranged reads.

Names propose, content decides: what a file is shows in its first bytes, in a container's directory,
or in the fields of a message; its name only chooses between readings that its bytes allow. Where
loading it runs code or reaches outside of its folder, that is an error of the header. The libraries
of these formats (onnx, h5py, flatbuffers, tensorflow) want the whole file at hand, and parsers take
nothing but the standard library: each reader follows the little that it needs of its format.

At most `REQUEST_LIMIT` reads and `READ_LIMIT` bytes; what is beyond them is told as such.
"""

from collections.abc import Callable
from typing import Final

from prefect_mutagen.parsers.byte_ranges import Budget, Pieces, RangeReader, Reads
from prefect_mutagen.parsers.byte_sources import FilePart
from prefect_mutagen.parsers.coreml import is_coreml, read_coreml
from prefect_mutagen.parsers.detect import HEAD_SIZE, identify
from prefect_mutagen.parsers.errors import HeaderError
from prefect_mutagen.parsers.flatbuffers import IDENTIFIERS, read_flatbuffers
from prefect_mutagen.parsers.hdf5 import find_superblock, read_hdf5
from prefect_mutagen.parsers.named_weights import is_named, read_named
from prefect_mutagen.parsers.onnx import read_onnx
from prefect_mutagen.parsers.openvino import opens_like_openvino, read_openvino
from prefect_mutagen.parsers.protobuf import first_fields, tag_of
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.tar import BLOCK, is_tar_header
from prefect_mutagen.parsers.tensorflow import (
    kind_of_graph,
    read_tensorflow,
    read_text_graph,
)
from prefect_mutagen.parsers.weights_archives import (
    read_packed_nemo,
    read_weights_tar,
    read_weights_zip,
)
from prefect_mutagen.parsers.weights_header import OtherWeightsHeader
from prefect_mutagen.parsers.weights_report import WeightsReport

__all__ = ["OtherWeightsHeader", "OtherWeightsReader", "read_other_weights"]

REQUEST_LIMIT: Final = 32
READ_LIMIT: Final = 16 << 20
_INFLATE_LIMIT: Final = 32 << 20
_HEAD: Final = 64 << 10

Reader = Callable[[FilePart, WeightsReport], Reads[bool]]
"""Reads a file of one format; returns whether it is one."""


OtherWeightsReader = RangeReader[OtherWeightsHeader]


def read_other_weights(size: int, name: str) -> OtherWeightsReader:
    """Start reading one file.

    Args:
        size: Size of the whole file in bytes.
        name: The file's name, with or without its folder.

    Returns:
        A reader; feed it nothing to learn what it needs first.
    """
    budget, pieces = Budget(REQUEST_LIMIT, READ_LIMIT, _INFLATE_LIMIT), Pieces()
    source = FilePart(pieces, budget, 0, size)
    report = WeightsReport(name.replace("\\", "/").rpartition("/")[2].lower())
    return RangeReader(_examine(source, report, budget), pieces, budget)


def _examine(source: FilePart, report: WeightsReport, budget: Budget) -> Reads[OtherWeightsHeader]:
    """Read a file by the first of the readers that find it theirs."""
    head = yield from source.read(0, min(_HEAD, source.size))
    for reader in _readers(head, source.size, report.name, budget):
        trial = WeightsReport(report.name)
        try:
            found = yield from reader(source, trial)
        except HeaderError as error:
            trial.errors.add(_own(error))
            # What is cut or broken, or beyond the limits, is what its name says.
            found = bool(trial.format) and (trial.found or _promises(report.name, trial.format))
        if found:
            return trial.finish(budget.bytes_read)
    return report.finish(budget.bytes_read)


def _own(error: HeaderError) -> HeaderError:
    """Return an error of what pickles and other weights share under this family's code."""
    code = error.code.replace("pickle/", "weights/")
    return make_error(
        code,
        offset=error.offset,
        field=error.field,
        expected=error.expected,
        found=error.found,
    )


_NAMES: Final = {"onnx": (".onnx",), "tensorflow": (".pb", ".meta"), "coreml": (".mlmodel",)}
_ZIP_NAMES: Final = (".keras", ".pt2", ".mar")
"""Their loaders look for an archive's end, whatever the first bytes are."""
_HDF5_NAMES: Final = (".h5", ".hdf5")
"""Their loader looks for a superblock anywhere."""
_ONNX_TAGS: Final = frozenset(
    (tag_of(1, 0), tag_of(5, 0), *map(tag_of, (2, 3, 4, 6, 7, 8, 14, 20, 25, 26)))
)


def _promises(name: str, form: str) -> bool:
    """Whether a name says that a file is of a format that has no magic."""
    return name.endswith(_NAMES.get(form, ()))


def _readers(head: bytes, size: int, name: str, budget: Budget) -> list[Reader]:
    """Return the readers that a file's first bytes allow, the likeliest first."""
    readers: list[Reader] = []
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or name.endswith(_ZIP_NAMES):
        readers.append(lambda source, report: read_weights_zip(source, report, budget))
    for recognised, reader in (
        (find_superblock(head) >= 0 or name.endswith(_HDF5_NAMES), read_hdf5),
        (is_tar_header(head[:BLOCK]), read_weights_tar),
        (head.startswith(b"\x1f\x8b") and name.endswith(".nemo"), read_packed_nemo),
        (head[4:8] in IDENTIFIERS, read_flatbuffers),
        (opens_like_openvino(head), read_openvino),
    ):
        if recognised:
            readers.append(reader)
    if any(reader is not read_hdf5 for reader in readers) or find_superblock(head) >= 0:
        return readers
    content = identify(head[:HEAD_SIZE], size)
    if content.format is None and content.kind in ("bad-magic", "archive"):
        readers += _message_readers(head, size, name)
    elif content.kind == "text" and name.endswith(".pbtxt"):
        readers.append(read_text_graph)
    return readers


def _message_readers(head: bytes, size: int, name: str) -> list[Reader]:
    """Return the readers of protobuf messages, which have no magic, and of what is named only."""
    tags = {tag for tag, _, _ in first_fields(head, size)}
    readers: list[Reader] = []
    # What its name says it is, its loader parses whatever other fields there are.
    if tags and (name.endswith(".onnx") or (tags <= _ONNX_TAGS and tag_of(7) in tags)):
        readers.append(read_onnx)
    if tags and (name.endswith(".mlmodel") or is_coreml(head, size)):
        readers.append(read_coreml)
    kind = kind_of_graph(head, size, name)
    if kind:
        readers.append(lambda source, report: read_tensorflow(source, report, kind))
    if is_named(head, name):
        readers.append(read_named)
    return readers
