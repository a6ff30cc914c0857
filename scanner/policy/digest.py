"""The digest of a policy, by which people and records tell policies apart."""

import hashlib
import json

from prefect_mutagen.scanner.policy.policy import Policy

__all__ = ["policy_digest"]


def policy_digest(policy: Policy) -> str:
    """Return the SHA-256 of a policy: of all its fields as JSON, sorted, without blanks."""
    text = json.dumps(policy.to_dict(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
