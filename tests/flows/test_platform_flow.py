"""The documented example platform, run as it stands."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import verify
from tests.builders import STRING, gguf
from tests.scanner.storing import put_local

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect")]
FILE = Path(__file__).parent.parent.parent / "docs/platform_flow.py"
# It takes what has a name, as any evaluation takes what it likes.
EVALUATION = (
    "import json, sys; given = json.load(sys.stdin); print('evaluating', given['url']);"
    "sys.exit('unfit' in given['sbom']['model_filename'])"
)


def _platform() -> Any:
    spec = spec_from_file_location("platform_flow", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_scan_gate_evaluate_register(tmp_path: Path) -> None:
    forbidden = gguf((("general.license", STRING, "cc-by-nc-4.0"),)).data
    models = {
        "good.gguf": gguf().data,
        "unfit.gguf": gguf().data,
        "cut.gguf": gguf().data[:100],
        "forbidden.gguf": forbidden,
    }
    root = put_local(tmp_path / "models", models)
    registry = tmp_path / "registry.json"
    evaluation = [sys.executable, "-I", "-S", "-c", EVALUATION]
    admitted = _platform().admit_models(root, str(registry), evaluation)
    good = f"{root}/good.gguf"
    assert admitted == [good]
    pin = verify(good).pin
    assert json.loads(registry.read_text()) == {good: {"pin": pin, "status": "evaluated"}}
