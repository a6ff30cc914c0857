"""Tensors and arrays as a pickle states them: dtype, shape, storage, and their place in its dicts.

References: ``torch/_utils.py`` for the arguments of the rebuilding functions,
``torch/serialization.py`` for persistent ids, ``numpy/_core/src/multiarray`` for the state of an
array and of a dtype. Dtypes are named as in safetensors.
"""

import re
from typing import Any, Final

from prefect_mutagen.parsers.pickle_values import OPAQUE, Global, Node, Storage, Tensor
from prefect_mutagen.parsers.tensor import TensorInfo
from prefect_mutagen.parsers.tensor_columns import count_elements

__all__ = [
    "JOBLIB_ARRAY",
    "call",
    "collect_tensors",
    "described_dtype",
    "numpy_dtype",
    "set_state",
    "shape_of",
    "storage_of",
    "tensor_info",
]

JOBLIB_ARRAY: Final = ("joblib.numpy_pickle", "NumpyArrayWrapper")

_STORAGES: Final = {
    "DoubleStorage": ("F64", 8),
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
    "ComplexDoubleStorage": ("C128", 16),
    "ComplexFloatStorage": ("C64", 8),
    "QUInt8Storage": ("QU8", 1),
    "QInt8Storage": ("QI8", 1),
    "QInt32Storage": ("QI32", 4),
    "QUInt4x2Storage": ("QU4X2", 1),
    "QUInt2x4Storage": ("QU2X4", 1),
    "UntypedStorage": ("U8", 1),
}
_DTYPES: Final = {
    "float64": ("F64", 8),
    "float32": ("F32", 4),
    "float16": ("F16", 2),
    "bfloat16": ("BF16", 2),
    "int64": ("I64", 8),
    "int32": ("I32", 4),
    "int16": ("I16", 2),
    "int8": ("I8", 1),
    "uint8": ("U8", 1),
    "uint16": ("U16", 2),
    "uint32": ("U32", 4),
    "uint64": ("U64", 8),
    "bool": ("BOOL", 1),
    "complex64": ("C64", 8),
    "complex128": ("C128", 16),
    "float8_e5m2": ("F8_E5M2", 1),
    "float8_e4m3fn": ("F8_E4M3", 1),
    "float8_e8m0fnu": ("F8_E8M0", 1),
}
_NUMPY: Final = re.compile(r"[<>|=]?([fiucbSUVOMm])(\d{0,9})")
_NUMPY_KINDS: Final = {"f": "F", "i": "I", "u": "U", "c": "C"}
_TORCH_VIEWS: Final = frozenset(
    ("torch._utils", name)
    for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor")
)
_PARAMETERS: Final = frozenset(
    (
        ("torch._utils", "_rebuild_parameter"),
        ("torch._utils", "_rebuild_parameter_with_state"),
        ("torch.nn.parameter", "Parameter"),
    )
)
_MODULE_PARTS: Final = frozenset(("_parameters", "_buffers", "_modules"))
_DEPTH_LIMIT: Final = 64
_NAME_LIMIT: Final = 1024
_UINT64_MAX: Final = 2**64 - 1
_TENSOR_LIMIT: Final = 1 << 18


def numpy_dtype(descr: Any) -> tuple[str, int] | None:
    """Return name and width of a NumPy dtype string such as ``<f4``; None if it is none."""
    match = _NUMPY.fullmatch(descr) if isinstance(descr, str) else None
    if match is None:
        return None
    kind, width = match[1], int(match[2] or 0)
    if kind in _NUMPY_KINDS:
        return f"{_NUMPY_KINDS[kind]}{width * 8}", width
    if kind == "b":
        return "BOOL", width or 1
    if kind == "O":
        return "OBJECT", width or 8
    return f"{kind}{width}", width * 4 if kind == "U" else width


def storage_of(pid: Any) -> Storage | None:
    """Return the storage that one of torch's persistent ids names; None for any other id."""
    if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
        return None
    _, kind, key, _, count = pid[:5]
    if not (isinstance(kind, Global) and isinstance(key, str) and _is_count(count)):
        return None
    dtype, width = _STORAGES.get(kind.name, ("", 0))
    return Storage(key, dtype, width, count)


def call(maker: Global, args: Any) -> Any:
    """Return the stand-in for what a call of a global returns."""
    values = args if isinstance(args, tuple) else ()
    path = maker.path
    if path in _TORCH_VIEWS and len(values) >= 3:
        return _view(values) or Node(maker, args)
    if path in _PARAMETERS and values and isinstance(values[0], Tensor):
        return values[0]
    if path == ("torch._tensor", "_rebuild_from_type_v2") and len(values) >= 3:
        inner = values[0]
        if isinstance(inner, Global) and inner.path in _TORCH_VIEWS | _PARAMETERS:
            return call(Global(*inner.path), values[2])  # one level: neither calls another
    if path == ("torch._utils", "_rebuild_meta_tensor_no_storage") and len(values) >= 2:
        dtype, shape = _torch_dtype(values[0]), shape_of(values[1])
        if dtype and shape is not None:
            return Tensor(*dtype, shape)
    if maker.name == "_frombuffer" and maker.module.startswith("numpy.") and len(values) >= 3:
        described, shape = described_dtype(values[1]), shape_of(values[2])
        if described and shape is not None:
            return Tensor(*described, shape)
    return Node(maker, args)


def set_state(instance: Any, state: Any) -> Any:
    """Return the stand-in for an object whose state is set; arrays become tensors."""
    if not isinstance(instance, Node):
        return instance
    instance.state = state
    made = instance.made_by(
        ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")
    )
    if made and isinstance(state, tuple) and len(state) >= 3:
        described, shape = described_dtype(state[2]), shape_of(state[1])
        if described and shape is not None:
            return Tensor(*described, shape)
    return instance


def _view(values: tuple[Any, ...]) -> Tensor | None:
    """Return the tensor that a view of a storage is."""
    storage, offset, shape = values[0], values[1], shape_of(values[2])
    if not isinstance(storage, Storage) or shape is None or not _is_count(offset):
        return None
    dtype, width = storage.dtype, storage.width
    if len(values) >= 7:
        dtype, width = _torch_dtype(values[6]) or (dtype, width)
    return Tensor(dtype, width, shape, storage.key, offset)


def _torch_dtype(value: Any) -> tuple[str, int] | None:
    if isinstance(value, Global) and value.module == "torch":
        return _DTYPES.get(value.name)
    return None


def described_dtype(value: Any) -> tuple[str, int] | None:
    """Return name and width of a dtype object of NumPy."""
    if isinstance(value, Node) and value.made_by(("numpy", "dtype")):
        return numpy_dtype(value.args[0]) if isinstance(value.args, tuple) and value.args else None
    return None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def shape_of(value: Any) -> tuple[int, ...] | None:
    """Return a shape; None for anything else."""
    if isinstance(value, Node) and value.made_by(("torch", "Size")):
        value = value.args[0] if isinstance(value.args, tuple) and value.args else None
    if isinstance(value, tuple) and len(value) <= 64 and all(map(_is_count, value)):
        return value
    return None


def collect_tensors(root: Any) -> list[TensorInfo]:
    """Return the tensors below an object, named by the keys that lead to them.

    The parts of a ``torch.nn.Module`` that its ``state_dict`` leaves out of names are left out. A
    tensor under two names, as tied weights are, is named twice.
    """
    found: list[TensorInfo] = []
    todo: list[tuple[str, Any, int]] = [("", root, 0)]
    seen: set[int] = set()
    while todo and len(found) < _TENSOR_LIMIT:
        name, value, depth = todo.pop()
        if isinstance(value, Tensor):
            found.append(tensor_info(name, value))
            continue
        if depth > _DEPTH_LIMIT or len(name) > _NAME_LIMIT:
            continue
        parts = _parts(value)
        if not parts or id(value) in seen:
            continue
        seen.add(id(value))
        for key, part in reversed(parts):
            if isinstance(part, (Tensor, Node, tuple)):
                todo.append((_join(name, key), part, depth + 1))
    return found


def tensor_info(name: str, tensor: Tensor) -> TensorInfo:
    """Return the record of a tensor; without a size where 64 bits cannot hold it."""
    count = count_elements(tensor.shape) or 0
    size = count * tensor.width
    if size > _UINT64_MAX:
        count = size = 0
    offset = tensor.offset * tensor.width
    return TensorInfo(name, tensor.shape, tensor.dtype, offset, size, count)


def _parts(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, tuple):
        return list(enumerate(value))
    if isinstance(value, Node):
        state = value.state
        inner = state.items if isinstance(state, Node) else []
        args = [("", part) for part in value.args] if isinstance(value.args, tuple) else []
        return args + value.items + inner
    return []


def _join(name: str, key: Any) -> str:
    if key in _MODULE_PARTS or key == "" or not isinstance(key, (str, int)) or key is OPAQUE:
        return name
    return f"{name}.{key}" if name else str(key)
