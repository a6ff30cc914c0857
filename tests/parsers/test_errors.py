import pickle

import pytest

from prefect_mutagen.parsers import RULES, HeaderError, TruncatedError
from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import named, shown
from prefect_mutagen.parsers.rules import make_error


def _error(offset: int = 16) -> HeaderError:
    return make_error(
        "gguf/truncated", offset=offset, field="key count", expected="at most 1", found="4294967296"
    )


def test_the_text_is_drawn_from_the_facts() -> None:
    error = _error()
    assert str(error) == "GGUF: key count at byte 16: 4294967296; expected at most 1"
    assert (error.code, error.severity, error.offset) == ("gguf/truncated", "error", 16)
    assert isinstance(error, TruncatedError)


def test_the_abstract_base_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        HeaderError("gguf/truncated", "error", offset=0, field="", expected="", found="")


def test_errors_compare_by_facts_and_survive_pickling() -> None:
    error = _error()
    assert error == _error() != _error(17)
    assert len({error, _error()}) == 1
    assert pickle.loads(pickle.dumps(error)) == error  # noqa: S301 - our own bytes


def test_every_rule_says_what_it_means_and_what_to_do() -> None:
    for code, rule in RULES.items():
        family, _, name = code.partition("/")
        assert family in {"gguf", "safetensors", "pickle", "weights", "zip", "sbom"}
        assert name == name.lower().replace(" ", "-")
        assert rule.kind is not HeaderError
        assert rule.meaning.endswith(".")
        assert rule.remedy.endswith(".")


def test_an_unknown_rule_is_a_bug() -> None:
    with pytest.raises(KeyError):
        make_error("gguf/no-such-rule", offset=0, field="", expected="", found="")


@pytest.mark.parametrize(
    "value", ["\x1b[31mred", "line\nbreak", "bell\a", "\u202egnp", "\ud800", b"\xff\x00", "é"]
)
def test_values_from_files_are_shown_as_harmless_text(value: str | bytes) -> None:
    text = shown(value)
    assert text.isascii()
    assert text.isprintable()


def test_long_values_are_cut() -> None:
    assert len(shown("x" * 10_000)) < 120
    assert "10000 characters" in shown("x" * 10_000)


def test_harmless_names_stand_as_they_are() -> None:
    assert named("blk.0.attn_q.weight") == "blk.0.attn_q.weight"
    assert named("a\nb") == "'a\\nb'"


def test_the_list_keeps_few_and_counts_all() -> None:
    errors = ErrorList((_error(5),))
    for offset in range(100, 0, -1):
        errors.add(_error(offset))
    kept = errors.finish()
    assert len(kept) == 16
    assert [error.offset for error in kept] == sorted(error.offset for error in kept)
    assert str(kept[-1]).endswith("(and 85 more of this kind); expected at most 1")
