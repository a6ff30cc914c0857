"""The page beside its table."""

import os
from pathlib import Path

import pytest

from prefect_mutagen.scanner.outputs.page.storing import store_page
from prefect_mutagen.scanner.storage.errors import StorageError
from tests.servers import S3Server


def test_a_page_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    table = str(tmp_path / "table")
    for text in ("one", "größe 模型"):
        place = Path(store_page(text, table))
        assert place.read_text() == text
    assert os.listdir(place.parent) == [place.name]
    assert place == tmp_path / "table/pages/report.html"


def test_a_browser_shows_it_from_a_bucket(s3_server: S3Server) -> None:
    bucket = s3_server.bucket()
    place = store_page("<p>é", f"s3://{bucket}/table", s3_server.options)
    assert place == f"s3://{bucket}/table/pages/report.html"
    stored = s3_server.client().get_object(Bucket=bucket, Key="table/pages/report.html")
    assert stored["ContentType"] == "text/html; charset=utf-8"
    assert stored["Body"].read().decode() == "<p>é"


def test_a_place_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="the page cannot be written"):
        store_page("x", str(tmp_path / "file"))
