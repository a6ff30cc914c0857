"""Days that tests of policies need: a waiver may be valid for a few years at most."""

from datetime import UTC, datetime, timedelta

__all__ = ["SOON"]

SOON = (datetime.now(UTC) + timedelta(days=90)).date().isoformat()
"""A day on which what is waived today still is."""
