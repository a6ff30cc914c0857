"""The models of an HTML page, which holds them compressed."""

import base64
import gzip
import json
import re
from typing import Any


def packed(html: str) -> Any:
    """Unpack the models of a page."""
    found = re.search(r'id="packed">([^<]*)<', html)
    assert found is not None
    return json.loads(gzip.decompress(base64.b64decode(found[1])))
