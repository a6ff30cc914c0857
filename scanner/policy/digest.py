"""The digest of a policy, by which people and records tell policies apart."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from prefect_mutagen.scanner.policy.policy import Policy

__all__ = ["policy_digest"]


def policy_digest(policy: Policy | Mapping[str, Any]) -> str:
    """Return the SHA-256 of a policy: of all its fields as JSON, sorted, without blanks.

    Args:
        policy: The policy, or its fields as they stand in a record; lists and tuples are alike.

    Returns:
        64 hexadecimal digits.
    """
    stated = policy.to_dict() if isinstance(policy, Policy) else policy
    text = json.dumps(stated, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
