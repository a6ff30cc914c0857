"""Storage errors, classified by what the caller can do about them."""

from typing import Final

__all__ = ["StorageError"]

_TRANSIENT: Final = ("storage/throttled", "storage/timeout", "storage/unreachable")


class StorageError(Exception):
    """A storage request failed.

    Attributes:
        code: A finding code, ``storage/…``.
        url: The requested address, without secrets.
        reason: Why, in one clause without secrets.
        transient: Whether retrying the same request may succeed.
    """

    def __init__(self, code: str, url: str, reason: str, *, transient: bool = False) -> None:
        """Store the facts that the message is made from."""
        super().__init__(code, url, reason)
        self.code = code
        self.url = url
        self.reason = reason
        self.transient = transient or code in _TRANSIENT

    def to_plain(self) -> tuple[str, str, str, bool]:
        """Return code, address, reason and whether it is transient."""
        return self.code, self.url, self.reason, self.transient

    def __str__(self) -> str:
        """Return the message in one sentence."""
        return f"{self.url}: {self.reason}" if self.url else self.reason
