"""One profile for all property tests."""

from hypothesis import HealthCheck, settings

# Shared machines stall: neither a slow draw nor a slow example says anything about the code.
settings.register_profile("mutagen", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mutagen")
