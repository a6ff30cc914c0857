"""config.json against the weights: no alarm for what loads, a finding for what does not."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from prefect_mutagen.parsers import SafetensorsHeader
from prefect_mutagen.scanner.content.config_shapes import (
    Mismatch,
    check_config,
    is_loaded_by_config,
)
from prefect_mutagen.scanner.content.quantization import find_quantization
from tests.builders import safetensors, tensor
from tests.parsers.reading import read
from tests.scanner.content.real_configs import REAL, Shapes, decoder, stack, text


def table(shapes: Mapping[str, tuple[int, ...]], dtype: str = "U8") -> Any:
    entries, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + math.prod(shape) * 4
        entries[name] = tensor("F32" if dtype == "U8" else dtype, shape, begin, end)
    header = read(safetensors(entries, 0), "safetensors")
    assert isinstance(header, SafetensorsHeader)
    return header.tensors


def check(config: dict[str, Any], shapes: Shapes, **more: Any) -> list[Mismatch]:
    return list(check_config(config, [table(shapes)], **more))
