"""What can go wrong with storage, named by what the caller can do about it."""

from typing import Final

__all__ = ["StorageError"]

_TRANSIENT: Final = ("storage/throttled", "storage/timeout", "storage/unreachable")


class StorageError(Exception):
    """Storage did not give what was asked for.

    Attributes:
        code: A finding code, ``storage/…``; it says what the caller can do.
        url: What was asked for, free of secrets.
        reason: One clause that says why, free of secrets.
        transient: Whether the same request may well succeed a moment later.
    """

    def __init__(self, code: str, url: str, reason: str, *, transient: bool = False) -> None:
        """Keep the facts; the text is drawn from them."""
        super().__init__(code, url, reason)
        self.code = code
        self.url = url
        self.reason = reason
        self.transient = transient or code in _TRANSIENT

    def to_plain(self) -> tuple[str, str, str, bool]:
        """Give code, address, reason, and whether another try may help."""
        return self.code, self.url, self.reason, self.transient

    def __str__(self) -> str:
        """Draw one sentence."""
        return f"{self.url}: {self.reason}" if self.url else self.reason
