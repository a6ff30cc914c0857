"""Judge the configuration of a Keras model: which functions and classes loading it would call.

What may be named is listed, not what may not: Keras' own modules, without the functions that load,
fetch or write. ``deserialize_keras_object`` of Keras 3 before 3.9 imports any module that a config
names (CVE-2025-1550) and calls any function of Keras (CVE-2025-8747); ``Lambda`` layers of all
versions hold marshalled code; older ones look a function up by name in any module. A layer that
reads a vocabulary, a SavedModel or a pickled torch module from a path does so while it is built.

References: ``serialization_lib.py``, ``lambda_layer.py``, ``tfsm_layer.py``, ``index_lookup.py`` of
Keras 3; ``core.py`` (``Lambda``, ``TFOpLambda``) of Keras 2.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from prefect_mutagen.parsers.byte_sources import Source
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.weights_report import WeightsReport

__all__ = ["CONFIG_LIMIT", "judge_config", "parse_json"]

CONFIG_LIMIT: Final = 8 << 20
_VALUE_LIMIT: Final = 300_000
_COUNTED: Final = re.compile(rb"[\[{,]")
_FUNCTION_MODULES: Final = re.compile(
    r"builtins|(?:keras|tf_keras)(?:\.src)?\.(?:activations|constraints|initializers|losses|metrics"
    r"|optimizers|regularizers|ops|random)(?:\..*)?"
)
"""Modules of functions that compute and do nothing else."""
_CLASS_MODULES: Final = re.compile(
    r"(?:(?:tensorflow\.(?:python\.)?)?keras|tf_keras|keras_hub|keras_cv|keras_nlp|keras_rs)(?:\..*)?"
)
"""Packages whose classes Keras itself imports when a config names them."""
_NO_CLASSES: Final = re.compile(
    r"(?:(?:tensorflow\.(?:python\.)?)?keras|tf_keras)(?:\.src)?\.(?:config|saving|utils|preprocessing|backend|export)(?:\..*)?"
)
"""Modules whose functions load, fetch, write or change settings, and that have no layers."""
_BUILDS_FROM_FILE: Final = {
    "TFSMLayer": "a SavedModel that it runs",
    "TorchModuleWrapper": "a pickled torch module",
    "KerasLayer": "a SavedModel of TensorFlow Hub",
}
_SETTING: Final = re.compile(
    r"(?:tf_)?keras\.(?:\w+\.)*(?:enable_unsafe_deserialization|get_file|load_model|load_weights"
    r"|save_model|save_weights|load_img|save_img|model_from_json|deserialize_keras_object"
    r"|register_keras_serializable|\w+_dataset_from_directory)"
)
"""Functions that Keras itself refuses in a config: they make no part of a model."""
_MODELS: Final = frozenset(("Sequential", "Functional", "Model"))
_PLAIN_CLASSES: Final = frozenset(
    ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")
)
_LEGACY_OPERATION: Final = re.compile(
    r"(?!(?:py_function|numpy_function|load_op_library|load_library|print)$)\w+"
    r"|(?:math|nn|linalg|image|signal|strings|sparse|random|bitwise|sets|ragged|dtypes|quantization"
    r"|__operators__|keras\.backend|compat\.v1\.(?:nn|math|image|linalg))\.\w+"
)
"""Functions of TensorFlow that a ``TFOpLambda`` may name: they compute and do nothing else."""
_CODE_TYPES: Final = ("function_type", "output_shape_type", "mask_type")


def parse_json(raw: bytes, source: Source, at: int, field: str) -> Any:
    """Return a parsed JSON text, as Python's ``json`` reads it, which Keras uses.

    Raises:
        MalformedError: It is no JSON, or nested deeper than Python reads.
        UnsupportedError: It has more values than are looked at.
    """
    if len(raw) > CONFIG_LIMIT or len(_COUNTED.findall(raw)) > _VALUE_LIMIT:
        raise make_error(
            "weights/unexamined",
            offset=source.locate(at),
            field=field,
            expected=f"at most {CONFIG_LIMIT} bytes and {_VALUE_LIMIT} values",
            found="more",
        )
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as problem:
        raise make_error(
            "weights/unreadable",
            offset=source.locate(at),
            field=field,
            expected="JSON",
            found=type(problem).__name__,
        ) from None


def judge_config(
    config: Any, report: WeightsReport, source: Source, at: int, *, model: bool = False
) -> int:
    """Judge all objects of a parsed config; return the number of layers and the like in it.

    Args:
        config: What `parse_json` returned.
        report: Receives what is wrong.
        source: Where the config stands, for offsets.
        at: Its offset.
        model: Whether it is that of a whole model.
    """
    judge = _Judge(report, source, at)
    if model:
        judge.judge_model(config)
    todo = [config]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            judge.judge(value)
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, str) and _SETTING.fullmatch(value):
            judge.name(value)
    return judge.objects


class _Judge:
    """Judges one object of a config at a time."""

    def __init__(self, report: WeightsReport, source: Source, at: int) -> None:
        self._report, self._source, self._at = report, source, at
        self.objects = 0

    def judge_model(self, config: Any) -> None:
        """Judge the class of a model: one without a module is Keras' own, or not in the file."""
        name = config.get("class_name") if isinstance(config, dict) else None
        if isinstance(name, str) and name not in _MODELS and config.get("module") is None:
            self._custom("model", name)

    def name(self, value: str) -> None:
        """Tell a text that is the name of a function that loads, fetches or changes settings."""
        self._runs("text", "no function of Keras that is none of models", value)

    def judge(self, value: Mapping[str, Any]) -> None:
        """Judge an object, without those in it."""
        for key in ("fn", "function"):
            if isinstance(value.get(key), str) and _SETTING.fullmatch(f"keras.utils.{value[key]}"):
                self.name(value[key])
        module = value.get("fn_module")
        if module is not None and not _FUNCTION_MODULES.fullmatch(str(module)):
            self._runs("function", "a function of Keras that computes", f"{module}.")
        name = value.get("class_name")
        if not isinstance(name, str) or "config" not in value:
            if value.get("class_name") is not None and "config" in value:
                self._runs("class", "a name", str(type(name).__name__))
            return
        config, module = value["config"], value.get("module")
        self.objects += 1
        if name == "__lambda__":
            self._runs("function", "no marshalled code", "__lambda__")
        elif name == "function":
            self._judge_function(config, module)
        elif name not in _PLAIN_CLASSES:
            self._judge_class(name, value, module)
        if isinstance(config, dict) and name not in _PLAIN_CLASSES:
            self._judge_layer(name, config)

    def _judge_function(self, name: Any, module: Any) -> None:
        if module is None:
            self._custom("function", str(name))
        elif not isinstance(module, str) or not _FUNCTION_MODULES.fullmatch(module):
            self._runs("function", "a function of Keras that computes", f"{module}.{name}")

    def _judge_class(self, name: str, value: Mapping[str, Any], module: Any) -> None:
        if name[:1].islower():  # a function of Keras is found by the name of a class as well
            self._judge_function(name, module)
            return
        if name == "__typespec__" and re.fullmatch(r"tensorflow\.[\w.]*", str(module)):
            return
        registered = value.get("registered_name")
        if module is not None and not (
            isinstance(module, str)
            and _CLASS_MODULES.fullmatch(module)
            and not _NO_CLASSES.fullmatch(module)
        ):
            self._runs("class", "a class of Keras", f"{module}.{name}")
        elif isinstance(registered, str) and ">" in registered:
            self._custom("class", registered)
        elif module is None and "module" in value:
            self._custom("class", name)

    def _judge_layer(self, name: str, config: Mapping[str, Any]) -> None:
        short = name.rpartition(">")[2]
        function = config.get("function")
        if short == "Lambda" and not isinstance(function, dict):
            kinds = [config.get(kind) for kind in _CODE_TYPES]
            what = "code" if "lambda" in kinds or isinstance(function, list) else str(function)
            self._runs("Lambda layer", "no code in a layer", what)
        elif short in ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod"):
            operation = config.get("function", config.get("method_name", ""))
            if short == "TFOpLambda" and not (
                isinstance(operation, str) and _LEGACY_OPERATION.fullmatch(operation)
            ):
                self._runs("TFOpLambda layer", "an operation that computes", f"tf.{operation}")
        elif short in _BUILDS_FROM_FILE:
            self._runs(
                "layer", "a layer of Keras that computes", f"{name}: {_BUILDS_FROM_FILE[short]}"
            )
        vocabulary = config.get("vocabulary")
        if isinstance(vocabulary, str):
            self._report.add_file(vocabulary)
            self._note("weights/outside-path", "vocabulary", "its words", vocabulary)

    def _runs(self, field: str, expected: str, found: str) -> None:
        self._note("weights/runs-code", field, expected, found)

    def _custom(self, field: str, found: str) -> None:
        self._note("weights/custom-operator", field, "one of Keras' own", found)

    def _note(self, code: str, field: str, expected: str, found: str) -> None:
        self._report.note(code, self._source, self._at, field, expected, shown(found))
