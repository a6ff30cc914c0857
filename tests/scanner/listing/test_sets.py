"""Which files of a folder become which sets, what competes with them, and when an index is read."""

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from prefect_mutagen.scanner.listing.artifacts import Artifact, Rivals
from prefect_mutagen.scanner.listing.grouping import artifact_of, group_artifacts
from prefect_mutagen.scanner.listing.listed_index import ListedIndex, ReadIndex
from prefect_mutagen.scanner.storage.store import StoredObject
from tests.scanner.listing.reading import indexes

INDEX = "model.safetensors.index.json"
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
Sets = dict[str, list[str]]


def _items(names: Iterable[str]) -> Iterator[StoredObject]:
    return (StoredObject(f"s3://b/m/{name}", 10, f"etag:{name}") for name in names)


def _artifacts(names: Iterable[str], read: ReadIndex | None = None) -> list[Artifact]:
    return list(group_artifacts(_items(names), "s3://b", read_index=read))


def _grouped(names: Iterable[str], read: ReadIndex | None = None) -> Sets:
    artifacts = _artifacts(names, read)
    times = Counter(item.url for artifact in artifacts for item in artifact.objects)
    assert set(times.values()) <= {1}, "a file is in one artifact"
    return {
        artifact.url.removeprefix("s3://b/m/"): [
            item.url.removeprefix("s3://b/m/") for item in artifact.objects
        ]
        for artifact in artifacts
    }


def _rivals(names: Iterable[str], read: ReadIndex | None = None) -> dict[str, Rivals]:
    found = _artifacts(names, read)
    return {artifact.url.removeprefix("s3://b/m/"): artifact.rivals for artifact in found}


def _alone(*names: str) -> Sets:
    return {name: [name] for name in names}


OTHER = ["consolidated-00001-of-00002.safetensors", "consolidated-00002-of-00002.safetensors"]
FOURS = ["model-0001-of-0002.safetensors", "model-0002-of-0002.safetensors"]
VARIANT = "model.safetensors.index.fp16.json"

INDEXED: dict[str, tuple[list[str], dict[str, list[str]], Sets]] = {
    "own-stem": ([ONE, TWO, INDEX], {INDEX: [ONE, TWO]}, {INDEX: [ONE, TWO]}),
    "another-stem": ([*OTHER, INDEX], {INDEX: OTHER}, {INDEX: OTHER}),
    "four-digits": ([*FOURS, INDEX], {INDEX: FOURS}, {INDEX: FOURS}),
    "without-numbers": (
        ["a.safetensors", "b.safetensors", "z.safetensors", INDEX],
        {INDEX: ["a.safetensors", "b.safetensors"]},
        {INDEX: ["a.safetensors", "b.safetensors"]} | _alone("z.safetensors"),
    ),
    "one-without-a-number": (
        [ONE, TWO, INDEX, "mtp.safetensors"],
        {INDEX: [ONE, TWO, "mtp.safetensors"]},
        {INDEX: [ONE, TWO, "mtp.safetensors"]},
    ),
    "a-whole-file": (
        ["model.safetensors", INDEX],
        {INDEX: ["model.safetensors"]},
        {INDEX: ["model.safetensors"]},
    ),
    "a-leftover-of-its-stem": (
        [ONE, TWO, "model-00003-of-00003.safetensors", INDEX],
        {INDEX: [ONE, TWO]},
        {INDEX: [ONE, TWO, "model-00003-of-00003.safetensors"]},
    ),
    "a-set-of-its-stem-that-it-does-not-mean": (
        [*OTHER, ONE, TWO, INDEX],
        {INDEX: OTHER},
        {INDEX: OTHER, ONE: [ONE, TWO]},
    ),
    "a-whole-file-beside": (
        [ONE, TWO, "model.safetensors", INDEX],
        {INDEX: [ONE, TWO]},
        {INDEX: [ONE, TWO]} | _alone("model.safetensors"),
    ),
    "two-indexes": (
        [ONE, TWO, *OTHER, "consolidated.safetensors.index.json", INDEX],
        {INDEX: [ONE, TWO], "consolidated.safetensors.index.json": OTHER},
        {INDEX: [ONE, TWO], "consolidated.safetensors.index.json": OTHER},
    ),
    "two-indexes-crosswise": (
        [ONE, TWO, *OTHER, "consolidated.safetensors.index.json", INDEX],
        {INDEX: OTHER, "consolidated.safetensors.index.json": [ONE, TWO]},
        {INDEX: OTHER, "consolidated.safetensors.index.json": [ONE, TWO]},
    ),
    "two-indexes-of-the-same-files": (
        [ONE, TWO, "a.safetensors.index.json", INDEX],
        {INDEX: [ONE, TWO], "a.safetensors.index.json": [ONE, TWO]},
        {INDEX: [ONE, TWO]},
    ),
    "two-indexes-that-overlap": (
        [ONE, TWO, "x.safetensors", "a.safetensors.index.json", INDEX],
        {INDEX: [ONE, TWO], "a.safetensors.index.json": [TWO, "x.safetensors"]},
        {INDEX: [ONE, TWO]} | _alone("x.safetensors"),
    ),
    "two-names-of-one-stem": (
        [
            "x.safetensors",
            "y.safetensors",
            "m.fp16.safetensors.index.json",
            "m.safetensors.index.fp16.json",
        ],
        {
            "m.fp16.safetensors.index.json": ["x.safetensors"],
            "m.safetensors.index.fp16.json": ["y.safetensors"],
        },
        {
            "m.fp16.safetensors.index.json": ["x.safetensors"],
            "m.safetensors.index.fp16.json": ["y.safetensors"],
        },
    ),
    "in-a-folder-below": (
        [INDEX, "sub/a.safetensors", "sub/b.safetensors", "sub/z.safetensors"],
        {INDEX: ["sub/a.safetensors", "sub/b.safetensors"]},
        {INDEX: ["sub/a.safetensors", "sub/b.safetensors"]} | _alone("sub/z.safetensors"),
    ),
    "in-a-folder-far-below": (
        [INDEX, ONE, "s/t/model-00002-of-00002.safetensors"],
        {INDEX: [ONE, "s/t/model-00002-of-00002.safetensors"]},
        {INDEX: [ONE, "s/t/model-00002-of-00002.safetensors"]},
    ),
    "files-that-are-not-there": ([INDEX], {INDEX: [ONE, TWO]}, {INDEX: []}),
    "an-index-that-cannot-be-read": (
        [ONE, TWO, "x.safetensors", INDEX],
        {},
        {INDEX: [ONE, TWO]} | _alone("x.safetensors"),
    ),
    "gguf-beside": (
        ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf", INDEX, ONE],
        {INDEX: [ONE]},
        {INDEX: [ONE], "m-00001-of-00002.gguf": ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]},
    ),
}


@pytest.mark.parametrize("case", INDEXED)
def test_an_index_means_the_files_that_it_names(case: str) -> None:
    names, contents, expected = INDEXED[case]
    assert _grouped(names, indexes(**contents)) == expected


RANKS = [f"model-rank-{rank}-part-{part}.safetensors" for rank in (0, 1) for part in (0, 1)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (FOURS, {FOURS[0]: FOURS}),
        (RANKS, {RANKS[0]: RANKS}),
        (
            [f"model{rank}-mp2.safetensors" for rank in (0, 1)],
            {"model0-mp2.safetensors": ["model0-mp2.safetensors", "model1-mp2.safetensors"]},
        ),
        (
            ["consolidated.00.safetensors", "consolidated.01.safetensors"],
            {
                "consolidated.00.safetensors": [
                    "consolidated.00.safetensors",
                    "consolidated.01.safetensors",
                ]
            },
        ),
        (
            [ONE, TWO, *FOURS],
            {ONE: [ONE, TWO], FOURS[0]: FOURS},
        ),
        (
            ["m-001-of-002.gguf", "m-002-of-002.gguf"],
            {"m-001-of-002.gguf": ["m-001-of-002.gguf", "m-002-of-002.gguf"]},
        ),
        (["model-00001-of-00001.safetensors"], _alone("model-00001-of-00001.safetensors")),
        (["rank0.gguf", "rank1.gguf"], _alone("rank0.gguf", "rank1.gguf")),
    ],
    ids=["four-digits", "vllm", "mp", "consolidated", "two-widths", "gguf", "one", "gguf-ranks"],
)
def test_sets_without_an_index(names: list[str], expected: Sets) -> None:
    assert _grouped(names) == expected


@pytest.mark.parametrize(
    ("names", "reads"),
    [
        ([ONE, TWO, INDEX], 0),
        ([ONE, TWO, INDEX, "m.gguf", "README.md"], 0),
        ([ONE, TWO, INDEX, "model.safetensors"], 1),
        ([*OTHER, INDEX], 1),
        ([ONE, TWO, INDEX, VARIANT], 2),
        ([INDEX, ONE, TWO, "adapters/x.safetensors", "adapters/y.safetensors"], 1),
        ([INDEX, ONE, TWO, "vision/x.gguf"], 0),
    ],
    ids=["own", "others", "whole", "stem", "two", "below", "gguf-below"],
)
def test_an_index_is_read_once_and_only_where_names_do_not_say_enough(
    names: list[str], reads: int
) -> None:
    asked: list[str] = []

    def read(item: StoredObject) -> ListedIndex | None:
        asked.append(item.name)
        named = [ONE, TWO] if item.name == INDEX else ["model.fp16.safetensors"]
        return ListedIndex(item, frozenset(named), "")

    _grouped(names, read)
    assert len(asked) == len(set(asked)) == reads


WHOLE = "model.safetensors"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([WHOLE, ONE, TWO], {WHOLE: ([ONE], []), ONE: ([WHOLE], [])}),
        ([WHOLE, ONE, TWO, INDEX], {WHOLE: ([INDEX], []), INDEX: ([WHOLE], [])}),
        (
            ["consolidated.safetensors", ONE, TWO, INDEX],
            {
                "consolidated.safetensors": ([INDEX], []),
                INDEX: (["consolidated.safetensors"], []),
            },
        ),
        (
            [ONE, TWO, "model-00001-of-00003.safetensors"],
            {
                ONE: (["model-00001-of-00003.safetensors"], []),
                "model-00001-of-00003.safetensors": ([ONE], []),
            },
        ),
        (
            ["adapter_model.safetensors", WHOLE],
            {
                "adapter_model.safetensors": ([WHOLE], []),
                WHOLE: (["adapter_model.safetensors"], []),
            },
        ),
        (
            [WHOLE, "model.fp16.safetensors"],
            {WHOLE: ([], ["model.fp16.safetensors"]), "model.fp16.safetensors": ([], [WHOLE])},
        ),
        (
            ["my.safetensors", "my-00001-of-00002.safetensors", "my-00002-of-00002.safetensors"],
            {
                "my.safetensors": (["my-00001-of-00002.safetensors"], []),
                "my-00001-of-00002.safetensors": (["my.safetensors"], []),
            },
        ),
        (
            ["my.safetensors", "my_00001-of-00001.safetensors", "my_00001-of-00002.safetensors"],
            {
                "my.safetensors": (["my_00001-of-00002.safetensors"], []),
                "my_00001-of-00001.safetensors": (["my_00001-of-00002.safetensors"], []),
                "my_00001-of-00002.safetensors": (
                    ["my.safetensors", "my_00001-of-00001.safetensors"],
                    [],
                ),
            },
        ),
        (
            ["model-rank-0-part-0.safetensors", WHOLE],
            {
                "model-rank-0-part-0.safetensors": ([WHOLE], []),
                WHOLE: (["model-rank-0-part-0.safetensors"], []),
            },
        ),
        (
            ["a.safetensors", "b.safetensors"],
            {"a.safetensors": ([], []), "b.safetensors": ([], [])},
        ),
        (["m.gguf", WHOLE], {"m.gguf": ([], []), WHOLE: ([], [])}),
        ([WHOLE, "lora/model.safetensors"], {WHOLE: ([], []), "lora/model.safetensors": ([], [])}),
    ],
    ids=[
        "whole-and-shards",
        "whole-and-index",
        "mistral",
        "two-counts",
        "adapter",
        "variant",
        "a-name-of-its-own",
        "underscores",
        "ranks",
        "collection",
        "gguf",
        "another-folder",
    ],
)
def test_what_a_loader_may_take_instead(
    names: list[str], expected: dict[str, tuple[list[str], list[str]]]
) -> None:
    reads = indexes(**{INDEX: [ONE, TWO]})
    wanted = {name: Rivals(tuple(one), tuple(other)) for name, (one, other) in expected.items()}
    assert _rivals(names, reads) == wanted
    assert _rivals(sorted(names, reverse=True), reads) == wanted or "/" in "".join(names)


def test_an_index_of_the_same_files_is_named_by_the_set_that_has_them() -> None:
    names = [ONE, TWO, "a.safetensors.index.json", INDEX]
    reads = indexes(**{INDEX: [ONE, TWO], "a.safetensors.index.json": [ONE]})
    assert _rivals(names, reads) == {INDEX: Rivals(("a.safetensors.index.json",))}
    asked = StoredObject("s3://b/m/a.safetensors.index.json", 10, "etag:a")
    by_name = artifact_of(asked, _items([ONE, TWO, INDEX]), reads)
    assert (by_name.kind, by_name.objects, by_name.listed) == ("set", (), False)


def test_a_file_that_a_loader_prefers_changes_the_pin() -> None:
    before, after = _artifacts([ONE, TWO]), _artifacts([ONE, TWO, WHOLE])
    assert before[0].pin != after[-1].pin
    assert before[0].url == after[-1].url


@pytest.mark.parametrize("name", [WHOLE, ONE, INDEX, "adapter_model.safetensors"])
def test_a_file_by_its_name_has_the_pin_of_the_listing(name: str) -> None:
    names = [ONE, TWO, WHOLE, INDEX, "adapter_model.safetensors", "x.safetensors"]
    reads = indexes(**{INDEX: ["x.safetensors"]})
    listed = {artifact.url: artifact for artifact in _artifacts(names, reads)}
    (item,) = _items([name])
    assert artifact_of(item, _items(names), reads).pin == listed[item.url].pin
    assert listed[item.url].rivals.weights


def test_the_path_below_the_folder_is_part_of_the_pin() -> None:
    def pin(one: str, two: str) -> str:
        items = [StoredObject(f"s3://b/m/{name}", 1, f"etag:{name[-1]}") for name in (INDEX, one)]
        items.append(StoredObject(f"s3://b/m/{two}", 1, "etag:2"))
        (artifact,) = group_artifacts(items, read_index=indexes(**{INDEX: [one, two]}))
        return artifact.pin

    assert pin("p/x.safetensors", "q/x.safetensors") != pin("q/x.safetensors", "p/x.safetensors")
