"""One profile for all property tests."""

from hypothesis import HealthCheck, settings

from tests.twins import twin

__all__ = ["twin"]

# Shared machines stall: neither a slow draw nor a slow example says anything about the code. Which
# twin of the walks is in use stays the same for all examples of a test.
settings.register_profile(
    "mutagen",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("mutagen")
