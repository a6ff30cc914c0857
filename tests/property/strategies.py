"""Random model files, well formed by construction."""

import json
import math
from typing import Any

from hypothesis import strategies as st

from tests.builders import ARRAY, BOOL, F32, F64, I32, STRING, U8, U32, U64, gguf, safetensors

_keys = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=12)
_texts = st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))
_values: dict[int, st.SearchStrategy[Any]] = {
    U8: st.integers(0, 255),
    I32: st.integers(-(2**31), 2**31 - 1),
    U32: st.integers(0, 2**32 - 1),
    U64: st.integers(0, 2**64 - 1),
    F32: st.floats(width=32, allow_nan=False, allow_infinity=False),
    F64: st.floats(allow_nan=False, allow_infinity=False),
    BOOL: st.sampled_from([0, 1]),
    STRING: _texts,
}


@st.composite
def _entry(draw: st.DrawFn) -> tuple[int, Any]:
    kind = draw(st.sampled_from([*_values, ARRAY]))
    if kind != ARRAY:
        return kind, draw(_values[kind])
    element = draw(st.sampled_from(sorted(_values)))
    return ARRAY, (element, draw(st.lists(_values[element], max_size=40)))


@st.composite
def gguf_files(draw: st.DrawFn) -> bytes:
    """A GGUF file that every loader takes."""
    entries = draw(
        st.dictionaries(_keys.filter(lambda key: key != "general.alignment"), _entry(), max_size=6)
    )
    names = draw(st.lists(_keys, max_size=5, unique=True))
    tensors = []
    for name in names:
        kind = draw(st.sampled_from([0, 1, 8, 30]))
        dims = draw(st.lists(st.integers(0, 5), max_size=4))
        if kind == 8:
            dims = [32, *dims[:3]]
        tensors.append((name, dims, kind))
    return gguf(
        [(key, kind, value) for key, (kind, value) in entries.items()],
        tensors,
        version=draw(st.sampled_from([2, 3])),
        order=draw(st.sampled_from("<>")),
    ).data


_BITS = {"F32": 32, "BF16": 16, "I8": 8, "F4": 4, "U64": 64}


@st.composite
def safetensors_files(draw: st.DrawFn) -> bytes:
    """A safetensors file that the reference takes."""
    header: dict[str, Any] = {}
    end = 0
    for name in draw(st.lists(st.text(max_size=8), max_size=5, unique=True)):
        dtype = draw(st.sampled_from(sorted(_BITS)))
        shape = draw(st.lists(st.integers(0, 4).map(lambda n: 2 * n), max_size=3)) or [2]
        size = math.prod(shape) * _BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    if draw(st.booleans()):
        header["__metadata__"] = draw(
            st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3)
        )
    items = draw(st.permutations(list(header.items())))
    compact = draw(st.sampled_from([None, (",", ":")]))
    escaped = draw(st.booleans())
    text = json.dumps(dict(items), separators=compact, ensure_ascii=escaped)
    return safetensors(text.encode("utf-8", "replace"), end)
