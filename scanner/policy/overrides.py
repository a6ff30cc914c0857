"""One policy for everything, with others for what lies below some addresses.

Each override is a whole policy: what it does not state has its default, not the value of the policy
that it replaces. So a reader of one entry knows what holds there, and a rule that is added above
never changes what holds below without a trace.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Final

from prefect_mutagen.scanner.policy.fields import Policy, Signer, check_given
from prefect_mutagen.scanner.policy.publishers import has_dot_segments, lies_below

__all__ = ["PolicyOverride", "PolicySet", "each_policy", "signers_of", "stated_at"]

_CONFIG: Final = {"extra": "forbid", "use_attribute_docstrings": True}
_DEFAULT: Final = Policy()


@dataclass(frozen=True)
class PolicyOverride:
    """The policy for what lies below an address."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    prefix: str
    """Address that artifacts lie under, such as s3://models/research; the longest one counts."""
    policy: Policy = _DEFAULT
    """What may be handed to an agent there. It replaces the other policy as a whole: what it does
    not state has its default."""

    def __post_init__(self) -> None:
        """Validate the prefix.

        Raises:
            ValueError: It is neither an address nor an absolute path, or has dots for folders.
        """
        if "://" not in self.prefix and not self.prefix.startswith("/"):
            what = "the prefix of an override is neither an address nor an absolute path"
            raise ValueError(f"{what}: {self.prefix!a}")
        if has_dot_segments(self.prefix.partition("://")[2] or self.prefix):
            raise ValueError(f"the prefix of an override has . or .. for a folder: {self.prefix!a}")
        if isinstance(self.policy, PolicySet):
            raise ValueError("an override has overrides of its own: write each with its prefix")  # noqa: TRY004
        if self.policy.owners or self.policy.owner_tag:
            # They would be overlooked: owners are looked up by prefix for the whole scan.
            raise ValueError("an override has owners: write them in the policy around it")


@dataclass(frozen=True)
class PolicySet(Policy):
    """A policy with overrides by prefix of the address."""

    overrides: tuple[PolicyOverride, ...] = ()
    """Policies for what lies below some addresses; of several, the one with the longest prefix
    counts."""

    def __post_init__(self) -> None:
        """Validate the fields.

        Raises:
            ValueError: As for `Policy`, or two overrides have the same prefix.
        """
        super().__post_init__()
        seen: set[str] = set()
        for override in self.overrides:
            prefix = override.prefix.rstrip("/")
            if prefix in seen:
                raise ValueError(f"two overrides of the policy have the prefix {prefix!a}")
            seen.add(prefix)

    @classmethod
    def of(cls, policy: Policy, overrides: tuple[PolicyOverride, ...]) -> Policy:
        """Return a policy with overrides; the policy itself without any.

        Raises:
            ValueError: Two overrides have the same prefix.
        """
        if not overrides:
            return policy
        own = {field.name: getattr(policy, field.name) for field in fields(Policy)}
        return cls(**own, overrides=overrides)

    @cached_property
    def base(self) -> Policy:
        """The policy for what lies below none of the prefixes."""
        return Policy(**{field.name: getattr(self, field.name) for field in fields(Policy)})

    def at(self, url: str) -> Policy:
        """Return the policy for an artifact: of the longest prefix that it lies under.

        Args:
            url: Its address. One with ``.`` or ``..`` for folders lies under no prefix.
        """
        place = _longest([one.prefix for one in self.overrides], url)
        return self.base if place is None else self.overrides[place].policy

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values; without overrides those of a `Policy`."""
        plain = super().to_dict()
        return plain if self.overrides else self.base.to_dict()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Return pydantic's schema, before which names of fields are checked."""
        from pydantic_core.core_schema import no_info_before_validator_function

        return no_info_before_validator_function(_check_given, handler(source))


def _check_given(given: Any) -> Any:
    if isinstance(given, Mapping):
        check_given({name: value for name, value in given.items() if name != "overrides"})
    return given


def each_policy(policy: Policy) -> Iterator[Policy]:
    """Yield the policies that a policy consists of: itself, or its base and those of overrides."""
    if isinstance(policy, PolicySet):
        yield policy.base
        yield from (override.policy for override in policy.overrides)
    else:
        yield policy


def signers_of(policy: Policy) -> tuple[Signer, ...]:
    """Return the signers of a policy and of its overrides."""
    return tuple(dict.fromkeys(one for each in each_policy(policy) for one in each.allowed_signers))


def stated_at(stated: Mapping[str, Any], url: str) -> Mapping[str, Any]:
    """Return the policy for an artifact, of one as it stands in a record; see `PolicySet.at`.

    Args:
        stated: The fields of a policy as plain values, with ``overrides`` if it has any.
        url: Address of the artifact.
    """
    overrides: Sequence[Mapping[str, Any]] = stated.get("overrides") or ()
    if not overrides:
        return stated
    place = _longest([one["prefix"] for one in overrides], url)
    if place is None:
        return {name: value for name, value in stated.items() if name != "overrides"}
    found: Mapping[str, Any] = overrides[place]["policy"]
    return found


def _longest(prefixes: Sequence[str], url: str) -> int | None:
    """Return the place of the longest prefix that an address lies under; None if there is none."""
    found = [place for place, prefix in enumerate(prefixes) if lies_below(url, (prefix,))]
    return max(found, key=lambda place: len(prefixes[place].rstrip("/")), default=None)
