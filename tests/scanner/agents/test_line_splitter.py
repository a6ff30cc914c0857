import pytest

from prefect_mutagen.scanner.agents.line_splitter import LineSplitter

EURO = "\u20ac"


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\nb", b"c\n"], ["a", "bc"]),
        ([b"a\r\n\n"], ["a", ""]),
        ([b"no end"], ["no end"]),
        ([b"\xff\n"], ["\ufffd"]),
        ([EURO.encode()[:1], EURO.encode()[1:] + b"\n"], [EURO]),
        ([b"x" * 5000], ["x" * 4096, "x" * 904]),
        ([b"x" * 4095 + EURO.encode() + b"\n"], ["x" * 4095, EURO]),
    ],
    ids=["chunks", "line ends", "no end", "no text", "a split letter", "long", "cut before"],
)
def test_lines(chunks: list[bytes], lines: list[str]) -> None:
    seen: list[str] = []
    splitter = LineSplitter(seen.append)
    for chunk in chunks:
        splitter.feed(chunk)
    splitter.flush()
    assert seen == lines
    assert not splitter.truncated


@pytest.mark.parametrize("beyond", [0, 1], ids=["a megabyte", "a byte more"])
def test_the_limit_of_all_lines(beyond: int) -> None:
    seen: list[str] = []
    splitter = LineSplitter(seen.append)
    for _ in range(16):
        splitter.feed(b"x" * ((1 << 16) - 1) + b"\n")
    splitter.feed(b"y" * beyond)
    assert splitter.truncated == bool(beyond)
    assert not any("y" in line for line in seen)
