"""Components of a diffusers pipeline: which there are, of which kind, and where they lie."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prefect_mutagen.scanner.loading.folder import Folder

__all__ = ["PIPELINE_LIBRARIES", "Component", "Kind", "components"]

Kind = Literal["transformers", "onnx", "model", "config"]
"""A model of transformers, of ONNX, of diffusers or another; or a component without weights."""

# Modules of diffusers.pipelines with classes that have weights.
PIPELINE_LIBRARIES = frozenset(
    {
        "ace_step",
        "alt_diffusion",
        "audioldm2",
        "blip_diffusion",
        "deepfloyd_if",
        "flux",
        "ideogram4",
        "kandinsky",
        "kolors",
        "latent_diffusion",
        "ltx",
        "ltx2",
        "paint_by_example",
        "shap_e",
        "spectrogram_diffusion",
        "stable_audio",
        "stable_audio_3",
        "stable_diffusion",
        "stable_diffusion_safe",
        "unclip",
        "unidiffuser",
        "versatile_diffusion",
        "vq_diffusion",
        "wuerstchen",
    }
)
# Classes without weights by the end of their names: no class of diffusers or transformers with
# weights ends so but the tokenizers of sound, which are models.
_CLASS_WITHOUT_WEIGHTS = re.compile(
    r"(Scheduler|Guidance|Guider|(?<!Audio)Tokenizer|TokenizerFast|TokenizersBackend|PythonBackend"
    r"|MistralCommonBackend|ImageProcessor|ImageProcessorFast|ImageProcessorPil|Processor"
    r"|FeatureExtractor|^Mel)$"
)
_NAME_WITHOUT_WEIGHTS = re.compile(
    r"(.*_)?(scheduler|guider|(?<!audio_)tokenizer|feature_extractor|processor)(_[0-9]+)?$"
)


@dataclass(frozen=True, slots=True)
class Component:
    """A component that the index of a pipeline names."""

    name: str
    folder: Folder
    """Its own folder, or the pipeline's where there is none of its name."""
    place: str
    """Path of the folder that it should have, with a trailing slash."""
    kind: Kind
    needs_weights: bool
    """Whether it is known that it cannot be loaded without weights."""
    code: tuple[str, ...]
    """The Python file that its class is in, where that comes with the model."""


def components(root: Folder, index: str) -> Iterator[Component | str]:
    """Yield the components that the index of a pipeline names.

    What is ``[null, null]`` is absent on purpose. A name that leads out of the model's root is
    yielded as it is.

    Args:
        root: Folder of the pipeline.
        index: Name of the index.
    """
    for name, value in root.document(index).items():
        library, kind, subfolder = _entry(value)
        if name == "_class_name" or not library:
            continue
        path = root.join(subfolder or name)
        if path is None:
            yield subfolder or name
            continue
        own = root.beneath(f"{path}/")
        present = f"{path}/" in root.listing
        file = own.join(f"{library}.py")
        code = (file,) if file and file in root.files.names else ()
        folder = own if present else root
        yield Component(
            name=name,
            folder=folder,
            place=own.path,
            kind=_kind(name, folder, library, kind),
            needs_weights=_has_weights(name, library, kind) and not code,
            code=code,
        )


def _entry(value: Any) -> tuple[str, str, str]:
    """Library, class and subfolder of an entry; three empty texts if it names no component."""
    if not isinstance(value, list) or len(value) < 2:
        return "", "", ""
    specification = value[2] if len(value) > 2 and isinstance(value[2], Mapping) else {}
    library, kind = value[:2]
    hint = specification.get("type_hint")
    if library is None and isinstance(hint, list) and len(hint) == 2:
        library, kind = hint
    subfolder = specification.get("subfolder")
    if not isinstance(library, str) or not isinstance(kind, str):
        return "", "", ""
    return library, kind, subfolder if isinstance(subfolder, str) else ""


def _kind(name: str, folder: Folder, library: str, class_name: str) -> Kind:
    config = folder.document("config.json")
    if _is_config(name, class_name):
        return "config"
    if class_name == "OnnxRuntimeModel":
        return "onnx"
    if library == "transformers":
        return "transformers"
    if library != "diffusers" and ("model_type" in config or "architectures" in config):
        return "transformers"
    return "model"


def _has_weights(name: str, library: str, class_name: str) -> bool:
    known = library in ("diffusers", "transformers") or library in PIPELINE_LIBRARIES
    return known and not _is_config(name, class_name)


def _is_config(name: str, class_name: str) -> bool:
    by_class = _CLASS_WITHOUT_WEIGHTS.search(class_name)
    return bool(by_class or _NAME_WITHOUT_WEIGHTS.match(name))
