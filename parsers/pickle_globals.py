"""Which globals a pickle may use: a list of what is harmless; whatever is not on it is refused.

Sources: ``_get_allowed_globals`` of ``torch/_weights_only_unpickler.py`` with the tables it reads
from ``torch/__init__.py`` and ``torch/storage.py`` (PyTorch 2.9: what ``torch.load`` takes by
default); the functions with which NumPy 1 and 2 pickle arrays, dtypes and scalars
(``numpy/_core/multiarray.py``, ``numpy/_core/numeric.py``); joblib's array wrapper
(``joblib/numpy_pickle.py`` 1.5), which only holds attributes; and the plain values of the standard
library. Nothing here opens files, imports, evaluates, or calls what it is given, but for torch's
own rebuilding functions, which call only what is on the list as well.

Names are compared as pairs of module and name, after the mapping that unpicklers of protocols 0 to
2 apply to Python 2's names. A dotted name is on no list.
"""

import _compat_pickle
from collections.abc import Iterable
from typing import Final

__all__ = ["ALLOWED", "is_allowed", "mapped"]

_TORCH_DTYPES: Final = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool "
    "complex32 complex64 complex128 quint8 qint8 qint32 quint4x2 quint2x4 float8_e5m2 "
    "float8_e4m3fn float8_e5m2fnuz float8_e4m3fnuz float8_e8m0fnu float4_e2m1fn_x2 bits8 bits16 "
    "bits1x8 bits2x4 bits4x2 uint1 uint2 uint3 uint4 uint5 uint6 uint7 int1 int2 int3 int4 int5 "
    "int6 int7 per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric "
    "per_channel_affine_float_qparams"
).split()
_TORCH_TENSORS: Final = (
    "DoubleTensor FloatTensor HalfTensor BFloat16Tensor LongTensor IntTensor ShortTensor "
    "CharTensor ByteTensor BoolTensor"
).split()
_TORCH_STORAGES: Final = (
    "DoubleStorage FloatStorage HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage "
    "CharStorage ByteStorage BoolStorage ComplexDoubleStorage ComplexFloatStorage QUInt8Storage "
    "QInt8Storage QInt32Storage QUInt4x2Storage QUInt2x4Storage"
).split()
_TORCH_REBUILD: Final = (
    "_rebuild_parameter _rebuild_parameter_with_state _rebuild_qtensor _rebuild_tensor "
    "_rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_sparse_tensor _rebuild_meta_tensor_no_storage "
    "_rebuild_wrapper_subclass _rebuild_device_tensor_from_numpy "
    "_rebuild_device_tensor_from_cpu_tensor"
).split()
_BY_MODULE: Final = {
    "torch": (
        *("Size", "Tensor", "device"),
        *_TORCH_DTYPES,
        *_TORCH_TENSORS,
        *_TORCH_STORAGES,
    ),
    "torch.cuda": (*_TORCH_TENSORS, *_TORCH_STORAGES),
    "torch.sparse": _TORCH_TENSORS,
    "torch.cuda.sparse": _TORCH_TENSORS,
    "torch.storage": ("TypedStorage", "UntypedStorage"),
    "torch.nn.parameter": ("Parameter",),
    "torch.serialization": ("_get_layout",),
    "torch._utils": _TORCH_REBUILD,
    "torch._tensor": ("_rebuild_from_type_v2",),
    "_codecs": ("encode",),
    "collections": ("OrderedDict", "Counter", "defaultdict", "deque"),
    "builtins": (
        *("bytearray", "complex", "set", "frozenset", "list", "dict", "tuple", "int", "float"),
        *("bool", "str", "bytes", "slice", "range"),
    ),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "uuid": ("UUID",),
    "numpy": ("ndarray", "dtype", "bool_", "generic"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy.core.numeric": ("_frombuffer",),
    "numpy._core.numeric": ("_frombuffer",),
    "numpy.dtypes": tuple(
        f"{name}DType"
        for name in (
            "Bool Int8 UInt8 Int16 UInt16 Int32 UInt32 Int64 UInt64 Float16 Float32 Float64 "
            "Complex64 Complex128 Str Bytes Void Object Byte UByte Short UShort Int UInt Long "
            "ULong LongLong ULongLong LongDouble CLongDouble DateTime64 TimeDelta64 String"
        ).split()
    ),
    "joblib.numpy_pickle": ("NumpyArrayWrapper",),
}
ALLOWED: Final = frozenset((module, name) for module, names in _BY_MODULE.items() for name in names)
"""Module and name of every global that is harmless."""


def mapped(module: str, name: str, protocol: int) -> tuple[str, str]:
    """Return what an unpickler looks up: Python 2's names are mapped below protocol 3."""
    if protocol >= 3:
        return module, name
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


def is_allowed(module: str, name: str, extra: Iterable[str] = ()) -> bool:
    """Whether a global is harmless.

    Args:
        module: Its module, as `mapped` returns it.
        name: Its name there.
        extra: More names that are trusted, each as ``module.name``.
    """
    if (module, name) in ALLOWED:
        return True
    return "." not in name and f"{module}.{name}" in extra
