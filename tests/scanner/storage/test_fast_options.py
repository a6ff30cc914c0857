"""Options of fsspec's file systems as obstore's: what has a translation, and what is left to it."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.certificates import private_pem

fast_options = pytest.importorskip("prefect_mutagen.scanner.storage.fast_options")


def _account() -> dict[str, Any]:
    key = private_pem(rsa.generate_private_key(65537, 2048)).decode()
    return {
        "type": "service_account",
        "private_key": key,
        "private_key_id": "1",
        "client_email": "scanner@example.org",
    }


def test_a_service_account_of_googles_is_taken_as_it_is() -> None:
    store = fast_options.make_obstore("gs", "models", {"token": _account(), "project": "p"})
    assert store is not None
    assert "PRIVATE" not in repr(store)


@pytest.mark.parametrize(
    "token",
    [{}, {"type": "authorized_user"}, {"type": "service_account", "private_key": "k"}],
    ids=["empty", "person", "incomplete"],
)
def test_other_dictionaries_are_left_to_gcsfs(token: dict[str, Any]) -> None:
    assert fast_options.make_obstore("gs", "models", {"token": token}) is None
