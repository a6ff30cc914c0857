"""Keras models, as archives and as HDF5 files: honest and hostile."""

import json
import zipfile
from collections.abc import Mapping
from struct import pack
from typing import Any

from tests.parsers.pickle_builders import zipped
from tests.parsers.weights_case import (
    CUSTOM,
    OUTSIDE,
    RUNS,
    TRUNCATED,
    UNEXAMINED,
    UNREADABLE,
    WeightsCase,
    bad,
)
from tests.parsers.weights_hdf5 import (
    DENSE_LINKS,
    VIRTUAL,
    external_data,
    external_link,
    hdf5,
    hdf5_new,
)

DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {
        "units": 4,
        "kernel_initializer": {
            "module": "keras.initializers",
            "class_name": "GlorotUniform",
            "config": {"seed": None},
            "registered_name": None,
        },
    },
    "registered_name": None,
}
OLD_DENSE = {"class_name": "Dense", "config": {"units": 4, "activation": "relu"}}


def model(*layers: Any, module: str = "keras") -> dict[str, Any]:
    """Return the config of a model of Keras 3."""
    config = {"name": "m", "layers": [DENSE, *layers]}
    return {
        "module": module,
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
    }


def archive(
    config: Any, method: int = zipfile.ZIP_STORED, more: Mapping[str, bytes] | None = None
) -> bytes:
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    entries = {
        "metadata.json": b'{"keras_version": "3.8.0"}',
        "config.json": text,
        "model.weights.h5": bytes(1000),
    }
    return zipped({**entries, **(more or {})}, method)


def old(*layers: Any) -> str:
    """Return the config of a model of Keras 2."""
    return json.dumps({"class_name": "Sequential", "config": {"layers": [OLD_DENSE, *layers]}})


def layer(class_name: str, module: str | None = "keras.layers", /, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def function(name: str, module: str | None) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


MARSHALLED = {
    "class_name": "__lambda__",
    "config": {"code": "4wEAAAA=", "defaults": None, "closure": None},
}
LAMBDA = layer("Lambda", function=MARSHALLED)
OLD_LAMBDA = {
    "class_name": "Lambda",
    "config": {"function": ["4wEAAAA=", None, None], "function_type": "lambda"},
}
NAMED_LAMBDA = {
    "class_name": "Lambda",
    "config": {"function": "system", "function_type": "function", "module": "os"},
}
DEEP = b"[" * 100_000 + b"]" * 100_000
OLD_FILE = hdf5({"keras_version": "2.11.0", "backend": "tensorflow", "model_config": old()})
ENDLESS = hdf5({"a": "b"}, split=True).replace(pack("<Q", 2048), pack("<Q", 112), 1)

HONEST = [
    WeightsCase(
        *("plain", "m.keras", archive(model()), "keras"),
        description="Keras archive, Keras 3.8.0, 3 objects",
    ),
    WeightsCase("deflated", "m.keras", archive(model(), zipfile.ZIP_DEFLATED), "keras"),
    WeightsCase("under-another-name", "m.zip", archive(model()), "keras"),
    WeightsCase(
        "internal-module", "m.keras", archive(model(module="keras.src.models.functional")), "keras"
    ),
    WeightsCase("tensorflow", "m.keras", archive(model(module="tensorflow.keras.models")), "keras"),
    WeightsCase("hub", "m.keras", archive(model(layer("Backbone", "keras_hub.models"))), "keras"),
    WeightsCase(
        *("functions", "m.keras"),
        archive(model(layer("Activation", activation=function("relu", "builtins")))),
        "keras",
    ),
    WeightsCase(
        *("lambda-of-an-operation", "m.keras"),
        archive(model(layer("Lambda", function=function("relu", "keras.activations")))),
        "keras",
    ),
    WeightsCase(
        *("words", "m.keras"),
        archive(model(layer("StringLookup", vocabulary=["a", "b"]))),
        "keras",
    ),
    WeightsCase(
        *("type", "m.keras"),
        archive(
            model(
                {
                    "class_name": "__typespec__",
                    "spec_name": "TensorSpec",
                    "module": "tensorflow.python.framework.tensor",
                    "config": [[None], "float32"],
                    "registered_name": None,
                }
            )
        ),
        "keras",
    ),
    WeightsCase(
        *("weights-as-arrays", "m.keras"),
        archive(model(), more={"model.weights.npz": b"PK"}),
        "keras",
        pickles=True,
    ),
    WeightsCase(
        *("model", "m.h5", OLD_FILE, "hdf5"),
        description="HDF5, Keras 2.11.0, backend tensorflow, 2 objects",
    ),
    WeightsCase("under-another-name", "m.bin", OLD_FILE, "hdf5"),
    WeightsCase("group", "m.h5", hdf5({}, child=b"\0" * 8), "hdf5"),
    WeightsCase("nine-megabytes", "m.h5", hdf5({}, tail=9 << 20), "hdf5"),
    WeightsCase("weights-alone", "m.h5", hdf5({"backend": "tensorflow"}), "hdf5"),
    WeightsCase("new", "m.h5", hdf5_new({"model_config": old()}), "hdf5"),
    WeightsCase("three-megabytes", "m.h5", hdf5({"model_config": old()}, tail=3_000_000), "hdf5"),
    WeightsCase(
        *("operations", "m.h5"),
        hdf5(
            {
                "model_config": old(
                    {"class_name": "TFOpLambda", "config": {"function": "math.multiply"}}
                )
            }
        ),
        "hdf5",
    ),
]


def _keras(id: str, *codes: str, layers: tuple[Any, ...] = ()) -> WeightsCase:  # noqa: A002
    return bad(id, "m.keras", archive(model(*layers)), "keras", *codes)


def _hdf5(id: str, *codes: str, layers: tuple[Any, ...] = ()) -> WeightsCase:  # noqa: A002
    return bad(id, "m.h5", hdf5({"model_config": old(*layers)}), "hdf5", *codes)


HOSTILE = [
    _keras("lambda", RUNS, layers=(LAMBDA,)),
    _keras(
        "lambda-of-a-shape",
        RUNS,
        layers=(layer("Lambda", function=function("relu", "builtins"), output_shape=MARSHALLED),),
    ),
    _keras("lambda-in-a-list", RUNS, layers=([[{"x": [LAMBDA]}]],)),
    _keras("lambda-of-keras-2", RUNS, layers=(OLD_LAMBDA,)),
    _keras(
        "lambda-that-is-registered", RUNS, layers=({**OLD_LAMBDA, "class_name": "keras>Lambda"},)
    ),
    _keras("module", RUNS, layers=(layer("Popen", "subprocess"),)),
    _keras("module-of-a-function", RUNS, layers=(layer("Dense", fn_module="subprocess"),)),
    _keras("module-of-tensorflow", RUNS, layers=(layer("X", "tensorflow.io"),)),
    _keras("module-alike", RUNS, layers=(layer("X", "keras_evil.layers"),)),
    _keras("module-number", RUNS, layers=({**DENSE, "module": 3},)),
    _keras("class-number", RUNS, layers=({**DENSE, "class_name": ["Dense"]},)),
    _keras("function", RUNS, layers=(function("system", "os"),)),
    _keras(
        "function-of-keras",
        RUNS,
        layers=(layer("Lambda", function=function("get_file", "keras.utils")),),
    ),
    _keras(
        "function-inside-of-keras",
        RUNS,
        layers=(function("get_file", "keras.src.utils.file_utils"),),
    ),
    _keras("function-that-loads", RUNS, layers=(function("load_model", "keras.models"),)),
    _keras(
        "function-of-settings",
        RUNS,
        layers=(function("enable_unsafe_deserialization", "keras.config"),),
    ),
    _keras(
        "class-of-settings", RUNS, layers=(layer("enable_unsafe_deserialization", "keras.config"),)
    ),
    _keras(
        "function-as-a-class",
        RUNS,
        layers=(layer("Lambda", function=layer("load_model", "keras.models")),),
    ),
    _keras("function-of-a-loss", RUNS, layers=(layer("Dense", fn="get_file"),)),
    _keras(
        "setting-in-a-text",
        RUNS,
        layers=(layer("Dense", x=["keras.config.enable_unsafe_deserialization"]),),
    ),
    bad("class", "m.keras", archive({"class_name": "Mine", "config": {}}), "keras", CUSTOM),
    bad(
        "class",
        "m.h5",
        hdf5({"model_config": json.dumps({"class_name": "Mine", "config": {}})}),
        "hdf5",
        CUSTOM,
    ),
    _keras("saved-model", RUNS, layers=(layer("TFSMLayer", filepath="/x"),)),
    _keras("torch-module", RUNS, layers=(layer("TorchModuleWrapper", module="gA=="),)),
    _keras(
        "type-of-another-module",
        RUNS,
        layers=(
            {
                "class_name": "__typespec__",
                "spec_name": "x",
                "module": "os",
                "config": [],
                "registered_name": None,
            },
        ),
    ),
    _keras("registered", CUSTOM, layers=({**layer("X", None), "registered_name": "mine>X"},)),
    _keras("unregistered", CUSTOM, layers=(layer("X", None),)),
    _keras("words-elsewhere", OUTSIDE, layers=(layer("StringLookup", vocabulary="/etc/passwd"),)),
    _keras(
        "words-on-the-net", OUTSIDE, layers=(layer("TextVectorization", vocabulary="https://x/y"),)
    ),
    bad("lambda-deflated", "m.keras", archive(model(LAMBDA), zipfile.ZIP_DEFLATED), "keras", RUNS),
    bad(
        "lambda-after-a-prefix",
        "m.keras",
        b"#!/bin/sh\n" + archive(model(LAMBDA)),
        "keras",
        RUNS,
        "zip/prefix",
    ),
    bad(
        "other-case",
        "m.keras",
        archive(model(), more={"CONFIG.JSON": json.dumps(LAMBDA).encode()}),
        "keras",
        RUNS,
    ),
    bad("entry-outside", "m.keras", archive(model(), more={"../../x": b"1"}), "keras", OUTSIDE),
    bad(
        "entry-absolute",
        "m.keras",
        archive(model(), more={"/etc/cron.d/x": b"1"}),
        "keras",
        OUTSIDE,
    ),
    bad("no-json", "m.keras", archive(b"{"), "keras", UNREADABLE),
    bad("no-text", "m.keras", archive(b"\xff\xfe\xfd"), "keras", UNREADABLE),
    bad("deep", "m.keras", archive(DEEP), "keras", UNREADABLE),
    bad("many-values", "m.keras", archive(b"[" + b"1," * 400_000 + b"1]"), "keras", UNEXAMINED),
    bad(
        "inflates", "m.keras", archive(bytes(50_000_000), zipfile.ZIP_DEFLATED), "keras", UNEXAMINED
    ),
    bad("cut", "m.keras", archive(model(LAMBDA))[:-30], "keras", "zip/no-directory"),
    _hdf5("lambda", RUNS, layers=(OLD_LAMBDA,)),
    _hdf5("lambda-by-name", RUNS, layers=(NAMED_LAMBDA,)),
    _hdf5("lambda-of-keras-3", RUNS, layers=(LAMBDA,)),
    _hdf5(
        "operation",
        RUNS,
        layers=({"class_name": "TFOpLambda", "config": {"function": "io.write_file"}},),
    ),
    _hdf5(
        "operation-python",
        RUNS,
        layers=({"class_name": "TFOpLambda", "config": {"function": "py_function"}},),
    ),
    _hdf5(
        "operation-raw",
        RUNS,
        layers=({"class_name": "TFOpLambda", "config": {"function": "raw_ops.ReadFile"}},),
    ),
    bad("lambda-split", "m.h5", hdf5({"model_config": old(OLD_LAMBDA)}, split=True), "hdf5", RUNS),
    bad(
        "lambda-short",
        "m.h5",
        hdf5({"model_config": old(OLD_LAMBDA)}, variable=False),
        "hdf5",
        RUNS,
    ),
    bad("lambda-new", "m.h5", hdf5_new({"model_config": old(OLD_LAMBDA)}), "hdf5", RUNS),
    bad("lambda-in-training", "m.h5", hdf5({"training_config": old(OLD_LAMBDA)}), "hdf5", RUNS),
    bad(
        "lambda-after-a-block",
        "m.h5",
        bytes(512) + hdf5({"model_config": old(OLD_LAMBDA)}),
        "hdf5",
        RUNS,
    ),
    bad(
        "lambda-after-much",
        "m.h5",
        bytes(1 << 17) + hdf5({"model_config": old(OLD_LAMBDA)}),
        "hdf5",
        RUNS,
    ),
    bad("link", "m.h5", hdf5_new({}, external_link("x", "/etc/passwd")), "hdf5", OUTSIDE),
    bad("no-json", "m.h5", hdf5({"model_config": "{"}), "hdf5", UNREADABLE),
    bad("cut", "m.h5", OLD_FILE[:-1], "hdf5", TRUNCATED),
    bad("cut-early", "m.h5", OLD_FILE[:100], "hdf5", UNREADABLE),
    bad("data-elsewhere", "m.h5", hdf5({}, child=external_data(16)), "hdf5", OUTSIDE),
    bad("data-without-a-name", "m.h5", hdf5({}, child=external_data(999)), "hdf5", UNREADABLE),
    bad("virtual", "m.h5", hdf5({}, child=VIRTUAL), "hdf5", UNEXAMINED),
    bad("large", "m.h5", hdf5({}, child=external_data(16), tail=9 << 20), "hdf5", UNEXAMINED),
    bad("many-links", "m.h5", hdf5_new({}, DENSE_LINKS), "hdf5", UNEXAMINED),
    bad("header-in-itself", "m.h5", ENDLESS, "hdf5", UNREADABLE),
]
