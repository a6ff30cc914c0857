"""GGUF's ids for value types, tensor types and file types.

Sources: ``enum gguf_type`` and ``enum ggml_type`` of ggml (block sizes from its type traits), and
``enum llama_ftype`` of llama.cpp. ggml never reuses the id of a removed type.
"""

from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = [
    "ARRAY",
    "BOOL",
    "FILE_TYPES",
    "FILE_TYPE_GUESSED",
    "FLOAT_TENSORS",
    "REMOVED_TENSOR_TYPES",
    "STRING",
    "TENSOR_TYPES",
    "UINT32",
    "VALUE_TYPES",
    "TensorType",
    "ValueType",
]


class ValueType(NamedTuple):
    """Encoding of a metadata value."""

    name: str
    size: int
    """Size in bytes; 0 for types that carry their own length."""
    code: str
    """``struct`` format character; empty for types that have none."""


class TensorType(NamedTuple):
    """Block layout of a tensor's elements."""

    name: str
    block: int
    """Elements per block."""
    size: int
    """Bytes per block."""


UINT32: Final = 4
BOOL: Final = 7
STRING: Final = 8
ARRAY: Final = 9

VALUE_TYPES: Final = MappingProxyType(
    {
        0: ValueType("UINT8", 1, "B"),
        1: ValueType("INT8", 1, "b"),
        2: ValueType("UINT16", 2, "H"),
        3: ValueType("INT16", 2, "h"),
        UINT32: ValueType("UINT32", 4, "I"),
        5: ValueType("INT32", 4, "i"),
        6: ValueType("FLOAT32", 4, "f"),
        BOOL: ValueType("BOOL", 1, "B"),
        STRING: ValueType("STRING", 0, ""),
        ARRAY: ValueType("ARRAY", 0, ""),
        10: ValueType("UINT64", 8, "Q"),
        11: ValueType("INT64", 8, "q"),
        12: ValueType("FLOAT64", 8, "d"),
    }
)

TENSOR_TYPES: Final = MappingProxyType(
    {
        0: TensorType("F32", 1, 4),
        1: TensorType("F16", 1, 2),
        2: TensorType("Q4_0", 32, 18),
        3: TensorType("Q4_1", 32, 20),
        6: TensorType("Q5_0", 32, 22),
        7: TensorType("Q5_1", 32, 24),
        8: TensorType("Q8_0", 32, 34),
        9: TensorType("Q8_1", 32, 36),
        10: TensorType("Q2_K", 256, 84),
        11: TensorType("Q3_K", 256, 110),
        12: TensorType("Q4_K", 256, 144),
        13: TensorType("Q5_K", 256, 176),
        14: TensorType("Q6_K", 256, 210),
        15: TensorType("Q8_K", 256, 292),
        16: TensorType("IQ2_XXS", 256, 66),
        17: TensorType("IQ2_XS", 256, 74),
        18: TensorType("IQ3_XXS", 256, 98),
        19: TensorType("IQ1_S", 256, 50),
        20: TensorType("IQ4_NL", 32, 18),
        21: TensorType("IQ3_S", 256, 110),
        22: TensorType("IQ2_S", 256, 82),
        23: TensorType("IQ4_XS", 256, 136),
        24: TensorType("I8", 1, 1),
        25: TensorType("I16", 1, 2),
        26: TensorType("I32", 1, 4),
        27: TensorType("I64", 1, 8),
        28: TensorType("F64", 1, 8),
        29: TensorType("IQ1_M", 256, 56),
        30: TensorType("BF16", 1, 2),
        34: TensorType("TQ1_0", 256, 54),
        35: TensorType("TQ2_0", 256, 66),
        39: TensorType("MXFP4", 32, 17),
        40: TensorType("NVFP4", 64, 36),
        41: TensorType("Q1_0", 128, 18),
        42: TensorType("Q2_0", 64, 18),
    }
)

REMOVED_TENSOR_TYPES: Final = MappingProxyType(
    {
        4: "Q4_2",
        5: "Q4_3",
        31: "Q4_0_4_4",
        32: "Q4_0_4_8",
        33: "Q4_0_8_8",
        36: "IQ4_NL_4_4",
        37: "IQ4_NL_4_8",
        38: "IQ4_NL_8_8",
    }
)

FLOAT_TENSORS: Final = frozenset({"F16", "F32", "F64", "BF16"})
"""Tensor types that are floating-point formats, not quantizations."""

FILE_TYPE_GUESSED: Final = 1024
"""Flag bit of ``general.file_type``: the writer guessed the type."""

FILE_TYPES: Final = MappingProxyType(
    {
        0: "F32",
        1: "F16",
        2: "Q4_0",
        3: "Q4_1",
        7: "Q8_0",
        8: "Q5_0",
        9: "Q5_1",
        10: "Q2_K",
        11: "Q3_K_S",
        12: "Q3_K_M",
        13: "Q3_K_L",
        14: "Q4_K_S",
        15: "Q4_K_M",
        16: "Q5_K_S",
        17: "Q5_K_M",
        18: "Q6_K",
        19: "IQ2_XXS",
        20: "IQ2_XS",
        21: "Q2_K_S",
        22: "IQ3_XS",
        23: "IQ3_XXS",
        24: "IQ1_S",
        25: "IQ4_NL",
        26: "IQ3_S",
        27: "IQ3_M",
        28: "IQ2_S",
        29: "IQ2_M",
        30: "IQ4_XS",
        31: "IQ1_M",
        32: "BF16",
        36: "TQ1_0",
        37: "TQ2_0",
        38: "MXFP4_MOE",
        39: "NVFP4",
        40: "Q1_0",
        41: "Q2_0",
    }
)
