"""Run tests with the compiled walks and with their twins in pure Python."""

import pytest

from prefect_mutagen.parsers import string_walk, tensor_columns, walks

COMPILED = walks.COMPILED


@pytest.fixture(params=["compiled", "pure"], autouse=True)
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which walks the readers use in this test."""
    name: str = request.param
    if name == "compiled" and not COMPILED:
        pytest.skip("the walks are not compiled here")
    if name == "pure":
        monkeypatch.setattr(walks, "walk_strings", string_walk.walk_strings)
        monkeypatch.setattr(walks, "TensorColumns", tensor_columns.TensorColumns)
    return name
