"""Which dtypes, scalars and arrays of a pickle are as NumPy and joblib write them.

The state of a dtype says whether its elements are pointers to objects. A state that lies turns raw
bytes into pointers, or has joblib unpickle what would be passed over here. So anything else than
what picklers write is refused.

References: ``arraydescr_setstate`` and ``array_scalar`` of NumPy (``numpy/_core/src/multiarray``),
``NumpyArrayWrapper`` of joblib 1.5 (``joblib/numpy_pickle.py``).
"""

from typing import Any, Final

from prefect_mutagen.parsers.pickle_tensors import numpy_dtype
from prefect_mutagen.parsers.pickle_values import NONE, Global, Node

__all__ = ["plain_array", "refused_call", "refused_state"]

_DTYPE: Final = ("numpy", "dtype")
_SCALARS: Final = (("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"))
_FROM_TYPE: Final = ("torch._tensor", "_rebuild_from_type_v2")
_OF_TENSORS: Final = ("torch._utils", "torch.nn.parameter")
_MAY_HOLD_OBJECTS: Final = ("ObjectDType", "VoidDType", "StringDType")
_HAS_OBJECTS: Final = 1
_STATE_SIZES: Final = (8, 9)
_DEPTH_LIMIT: Final = 8
_WRAPPER_KEYS: Final = frozenset(
    ("subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes")
)


def refused_call(maker: Global, args: Any) -> str:
    """Return why a call of an allowed global is none that picklers write; empty if it is one."""
    values = args if isinstance(args, tuple) else ()
    if maker.path in _SCALARS:
        # With a dtype of objects it returns what it is given: any class.
        objects = _holds_objects(values[0], 0) if values else None
        return "" if objects is False else "a scalar that is an object of any kind"
    if maker.path == _FROM_TYPE:
        inner = values[0] if values else None
        if not (isinstance(inner, Global) and inner.module in _OF_TENSORS):
            return "a call of something that is no function of torch for tensors"
    return ""


def refused_state(instance: Any, state: Any) -> str:
    """Return why the state of an object is none that picklers write; empty if it is one."""
    if not isinstance(instance, Node) or not isinstance(instance.maker, Global):
        return ""
    if instance.made_by(_FROM_TYPE, *_SCALARS):
        return "a state of what has none"
    if instance.maker.module == "numpy.dtypes":
        return "a state of a dtype that has none"
    if not instance.made_by(_DTYPE):
        return ""
    if instance.state is not None:
        return "a second state of a dtype"
    return "" if _objects_of(instance, state, 0) is not None else "a state that is not of its dtype"


def _holds_objects(dtype: Any, depth: int) -> bool | None:
    """Whether a dtype's elements are objects, or hold some; None if that cannot be told."""
    if not isinstance(dtype, Node) or depth > _DEPTH_LIMIT:
        return None
    if isinstance(dtype.maker, Global) and dtype.maker.module == "numpy.dtypes":
        return None if dtype.maker.name in _MAY_HOLD_OBJECTS else False
    if not dtype.made_by(_DTYPE):
        return None
    if dtype.state is None:
        described = numpy_dtype(_name_of(dtype))
        return None if described is None else described[0] == "OBJECT"
    return _objects_of(dtype, dtype.state, depth)


def _objects_of(dtype: Node, state: Any, depth: int) -> bool | None:
    """Whether a dtype with a state holds objects; None if its name and its state disagree."""
    described = numpy_dtype(_name_of(dtype))
    if described is None or not isinstance(state, tuple) or len(state) not in _STATE_SIZES:
        return None
    _, _, inner, names, fields, *_ = state
    flags = state[7]
    if type(flags) is not int:
        return None
    stated = bool(flags & _HAS_OBJECTS)
    if inner is NONE and names is NONE and fields is NONE:
        holds: bool | None = described[0] == "OBJECT"
    elif described[0].startswith("V"):
        holds = _any_objects(inner, fields, depth)
    else:
        return None
    return holds if holds == stated else None


def _any_objects(inner: Any, fields: Any, depth: int) -> bool | None:
    """Whether the dtype of a subarray, or one of the fields, holds objects."""
    parts: list[Any] = []
    if inner is not NONE:
        if not isinstance(inner, tuple) or not inner:
            return None
        parts.append(inner[0])
    if fields is not NONE:
        if not isinstance(fields, Node) or fields.maker is not None:
            return None
        if fields.count != len(fields.items):
            return None
        for _, value in fields.items:
            if not isinstance(value, tuple) or not value:
                return None
            parts.append(value[0])
    held = [_holds_objects(part, depth + 1) for part in parts]
    return None if None in held or not held else any(held)


def _name_of(dtype: Node) -> Any:
    return dtype.args[0] if isinstance(dtype.args, tuple) and dtype.args else None


def plain_array(wrapper: Node) -> tuple[tuple[str, int], tuple[int, ...], bool] | None:
    """Return what a joblib wrapper states, if it is as joblib writes it.

    Args:
        wrapper: The wrapper, with its state.

    Returns:
        Dtype with its width, shape, and whether padding lies before the array; None for a wrapper
        that joblib may read otherwise than it looks.
    """
    state = wrapper.state
    if wrapper.args != () or not isinstance(state, Node) or state.maker is not None:
        return None
    keys = [key for key, _ in state.items]
    known = all(isinstance(key, str) for key in keys) and _WRAPPER_KEYS.issuperset(keys)
    if not known or len(set(keys)) != len(keys) or state.count != len(keys):
        return None
    values = dict(state.items)
    dtype, shape = values.get("dtype"), values.get("shape")
    alignment = values.get("numpy_array_alignment_bytes", NONE)
    if not (alignment is NONE or type(alignment) is int) or not isinstance(dtype, Node):
        return None
    described, objects = numpy_dtype(_name_of(dtype)), _holds_objects(dtype, 0)
    if not dtype.made_by(_DTYPE) or described is None or objects is None:
        return None
    if not isinstance(shape, tuple) or not all(type(dim) is int and dim >= 0 for dim in shape):
        return None
    size = dtype.state[5] if isinstance(dtype.state, tuple) else -1
    if size not in (-1, described[1]) or type(size) is not int:
        return None
    if objects:
        described = ("OBJECT", described[1])
    return described, shape, alignment is not NONE
