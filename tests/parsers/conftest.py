"""Every test of the parsers runs with the compiled walks and with their pure twins."""

from tests.twins import twin

__all__ = ["twin"]
