"""The reference parser of SPDX 2.3, and a model to make nasty results of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from spdx_tools.spdx.model.document import Document
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.parser.logger import Logger
from spdx_tools.spdx.parser.tagvalue.parser import Parser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tests.builders import gguf
from tests.scanner.storing import put_local


@pytest.fixture(scope="session")
def read_spdx(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Document]:
    """Reads both writings of SPDX, and fails for a document that is not valid."""
    # Building the grammar takes a second; it would be kept beside the package otherwise.
    parser = Parser(outputdir=str(tmp_path_factory.mktemp("grammar")), debug=False)

    def read(text: str) -> Document:
        if text.startswith("{"):
            document = JsonLikeDictParser().parse(json.loads(text))
        else:
            parser.logger = Logger()
            parser.elements_built = {}
            elements: tuple[dict[str, Any], ...] = ({"logger": Logger()}, {"logger": Logger()})
            parser.current_element, parser.creation_info = elements
            document = parser.parse(text)
        messages = validate_full_spdx_document(document)
        assert [message.validation_message for message in messages] == []
        return document

    return read


@pytest.fixture(scope="session")
def one_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with one small model."""
    return put_local(tmp_path_factory.mktemp("one"), {"model.gguf": gguf().data})


@pytest.fixture(scope="session")
def recorded(golden_inputs: Path) -> Path:
    """What l-bom printed for the inputs."""
    return golden_inputs.parent / "outputs"
