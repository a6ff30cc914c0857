"""Bytes to facts: strict, resumable readers of model file headers. No I/O, no dependencies.

* `read_header` is the entry point; it works with `HeaderReader`, `NeedBytes` and `Header`.
* ``gguf``, ``safetensors``: one reader per format; ``detect`` identifies other content.
* ``pickle``: `read_pickle` for pickles and all that holds them, by ranges (``byte_ranges``) and
  without unpickling; ``zip``, ``tar``, ``npy``: the containers. Import it by its own name: it needs
  more of the standard library than a scan of safetensors does.
* ``other_weights``: `read_other_weights` for ONNX, Keras, TensorFlow and other weights, by ranges
  as well; a module for each family (``onnx``, ``keras``, ``hdf5``, …). Import it by its own name.
* ``errors``: the error tree; ``rules``: every code with its severity, meaning and remedy.
* ``window``, ``string_walk``, ``json_text``: cursors and scanners over the raw bytes.
"""

from prefect_mutagen.parsers.detect import Content, Format, identify
from prefect_mutagen.parsers.errors import (
    HeaderError,
    IrregularityError,
    MalformedError,
    NotAModelError,
    Severity,
    TruncatedError,
    UnsafeError,
    UnsupportedError,
)
from prefect_mutagen.parsers.gguf import GgufHeader
from prefect_mutagen.parsers.gguf_values import ArrayValue, LongText, MetadataEntry
from prefect_mutagen.parsers.header import Header, HeaderReader, UnknownHeader, read_header
from prefect_mutagen.parsers.need import NeedBytes
from prefect_mutagen.parsers.rules import RULES, Rule
from prefect_mutagen.parsers.safetensors import SafetensorsHeader
from prefect_mutagen.parsers.tensor import TensorInfo

__all__ = [
    "RULES",
    "ArrayValue",
    "Content",
    "Format",
    "GgufHeader",
    "Header",
    "HeaderError",
    "HeaderReader",
    "IrregularityError",
    "LongText",
    "MalformedError",
    "MetadataEntry",
    "NeedBytes",
    "NotAModelError",
    "Rule",
    "SafetensorsHeader",
    "Severity",
    "TensorInfo",
    "TruncatedError",
    "UnknownHeader",
    "UnsafeError",
    "UnsupportedError",
    "identify",
    "read_header",
]
