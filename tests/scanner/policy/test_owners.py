"""Whose models are: the longest prefix wins, and no verdict depends on it."""

import random
from dataclasses import replace

import pytest

from prefect_mutagen.scanner.policy.digest import policy_digest
from prefect_mutagen.scanner.policy.owners import Owner, Owners
from prefect_mutagen.scanner.policy.policy import Policy, judge, load_policy
from prefect_mutagen.scanner.verdicts import Subject

ROOT = "s3://models/hub"
OWNERS = Owners(
    (
        Owner("search", "search@example.org"),
        Owner("search/rerankers/", "ranking@example.org"),
        Owner("s3://models/hub/search/rerankers/v2", "team v2"),
        Owner("s3://models", "platform@example.org"),
        Owner("größe/模型", "Größen-Team"),
        Owner("one file.gguf", "ana"),
    )
)


@pytest.mark.parametrize(
    ("url", "owner"),
    [
        (f"{ROOT}/search/a.gguf", "search@example.org"),
        (f"{ROOT}/search", "search@example.org"),
        (f"{ROOT}/search/rerankers/a.gguf", "ranking@example.org"),
        (f"{ROOT}/search/rerankers/v2/a.gguf", "team v2"),
        (f"{ROOT}/search/rerankers/v22/a.gguf", "ranking@example.org"),
        (f"{ROOT}/searching/a.gguf", "platform@example.org"),
        (f"{ROOT}/x/search/a.gguf", "platform@example.org"),
        (f"{ROOT}/größe/模型/a.gguf", "Größen-Team"),
        (f"{ROOT}/one file.gguf", "ana"),
        ("s3://models/hubs/search/a.gguf", "platform@example.org"),
        ("s3a://models/a.gguf", "platform@example.org"),
        ("s3://models-2/search/a.gguf", ""),
        ("/models/a.gguf", ""),
        ("", ""),
    ],
)
def test_the_longest_prefix_wins(url: str, owner: str) -> None:
    assert OWNERS.of(url, ROOT) == owner


@pytest.mark.parametrize("rest", ["search/../a.gguf", "search/%2e%2e/a.gguf", "search\\..\\a.gguf"])
def test_an_address_that_may_mean_another_place_is_nobodys(rest: str) -> None:
    assert OWNERS.of(f"{ROOT}/{rest}", ROOT) == ""


def test_roots_whole_addresses_and_paths() -> None:
    owners = Owners((Owner(".", "all"), Owner("a", "relative"), Owner("/data/a", "whole")))
    assert owners.of("/data/x.gguf", "/data/") == "all"
    assert owners.of("/data/a/x.gguf", "/data") == "whole", "of two that say the same"
    assert owners.of("/other/a/x.gguf", "/other") == "relative"
    assert owners.of("/other/x.gguf", "/other/x.gguf") == "all", "the root may be one file"
    assert owners.of("/elsewhere/x.gguf", "/other") == ""
    assert Owners((Owner("/", "machine"),)).of("/data/x.gguf", "/data") == "machine"
    web = Owners((Owner("HTTPS://Models.example.org:443/a/", "web"),))
    assert web.of("https://models.example.org/a/x.gguf", "https://models.example.org") == "web"


def test_any_owners_are_found_as_by_comparing_them_all() -> None:
    drawn = random.Random(17)
    parts = ("a", "b", "ab", "a b", "ä", "a.b", "-")

    def path(most: int) -> str:
        return "/".join(drawn.choice(parts) for _ in range(drawn.randint(1, most)))

    for _ in range(300):
        prefixes = {path(4) for _ in range(6)} | {f"{ROOT}/{path(4)}" for _ in range(6)}
        entries = [Owner(prefix, f"owner of {prefix}") for prefix in sorted(prefixes)]
        owners = Owners(entries)
        url = f"{ROOT}/{path(6)}"

        def rank(entry: Owner) -> tuple[int, bool]:
            is_whole = "://" in entry.prefix
            whole = entry.prefix if is_whole else f"{ROOT}/{entry.prefix}"
            matches = f"{url}/".startswith(f"{whole}/")  # noqa: B023 - called at once
            return (len(whole), is_whole) if matches else (0, False)

        best = max(entries, key=rank)
        assert owners.of(url, ROOT) == (best.owner if rank(best)[0] else "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("owners: {a: b}", "field owners"),
        ("owners: [{prefix: a}]", r"owners\.0\.owner"),
        ("owners: [{prefix: a, owner: b, team: c}]", "has no field 'team'"),
        ("owners: [{prefx: a, owner: b}]", "did you mean prefix"),
        ("owners: [{prefix: '', owner: b}]", "is empty"),
        ("owners: [{prefix: a, owner: ' '}]", "is empty"),
        ("owners: [{prefix: a, owner: '--'}]", "no letter"),
        ("owners: [{prefix: ' a', owner: b}]", "blank"),
        ("owners: [{prefix: 'a/*', owner: b}]", "wildcard"),
        ("owners: [{prefix: 'a/?.gguf', owner: b}]", "wildcard"),
        ("owners: [{prefix: 'a/../b', owner: b}]", "another place"),
        ("owners: [{prefix: 's3://', owner: b}]", "no place"),
        ("owners: [{prefix: a, owner: '{{ team }}'}]", "placeholder"),
        ("owners: [{prefix: a, owner: b}, {prefix: a/, owner: c}]", "two entries for 'a/'"),
        ("owner: [{prefix: a, owner: b}]", "did you mean owners"),
    ],
)
def test_entries_without_effect_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_policy(text)


def test_an_owner_changes_no_verdict_and_no_digest() -> None:
    policy = Policy(max_size_bytes=10)
    owned = replace(policy, owners=(Owner("a", "ana"),))
    small = Subject((), 10, "gguf", "llama", 1, None, None, "")
    for subject in (small, replace(small, size_bytes=11)):
        assert judge(subject, policy) == judge(subject, owned)
    assert policy_digest(policy) == policy_digest(owned) == policy_digest(owned.to_dict())
    assert policy_digest(policy) != policy_digest(Policy())
    before = {name: value for name, value in policy.to_dict().items() if name != "owners"}
    assert policy_digest(before) == policy_digest(policy), "recorded by an earlier version"
