"""Which way imports run: between floors, between the rooms of scanner/, between modules.

The graph is computed from the source. Imports inside functions and under TYPE_CHECKING count: a
module that needs another one is tied to it, whenever the import runs.
"""

import ast
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "prefect_mutagen"
FLOORS = ("parsers", "scanner", "tasks", "flows")
"""Each may import those before it."""
ROOMS = (
    *(
        "census",
        "claimants",
        "temporary",
        "codes",
        "findings",
        "verdicts",
        "pins",
        "results",
        "internal_errors",
        "shutdown",
    ),
    *("storage", "content", "listing", "loading", "sbom", "signing", "policy", "examine", "table"),
    *("scan", "verify"),
    *("agents", "outputs", "commands"),
)
"""The rooms of scanner/ from the ground up, and the modules that stand between them."""
FACE = "scanner"
"""The package's face, which hands out what its rooms make."""

Graph = Mapping[str, frozenset[str]]


def modules_of(root: Path) -> dict[str, Path]:
    """Find modules by their names below the package, as ``scanner.storage.local``."""
    found = {}
    for floor in FLOORS:
        for path in sorted((root / floor).rglob("*.py*")):
            if path.suffix in (".py", ".pyx"):
                name = ".".join(path.relative_to(root).with_suffix("").parts)
                found[name.removesuffix(".__init__")] = path
    return found


def imported(source: str, known: Mapping[str, object]) -> Iterator[str]:
    """Yield the modules among the known ones that a source imports, wherever it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (_inside(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                module = _inside(f"{node.module}.{alias.name}")
                yield module if module in known else _inside(node.module or "")


def _inside(name: str) -> str:
    assert name.partition(".")[0] not in FLOORS, f"{name} is {PACKAGE}.{name}"
    return name.removeprefix(PACKAGE).removeprefix(".") if name.startswith(PACKAGE) else ""


def graph_of(modules: Mapping[str, Path]) -> Graph:
    """Map each module to those that it imports."""
    return {
        name: frozenset(imported(path.read_text(), modules)) & frozenset(modules) - {name}
        for name, path in modules.items()
        if path.suffix == ".py"
    }


def circle(graph: Graph) -> list[str]:
    """Find a shortest circle, its first node once more at its end; empty where there is none."""
    shortest: list[str] = []
    for start in graph:
        before: dict[str, str] = {}
        waiting = deque([start])
        while waiting and start not in before:
            here = waiting.popleft()
            for there in graph.get(here, frozenset()):
                if there not in before:
                    before[there] = here
                    waiting.append(there)
        if start not in before:
            continue
        chain = [start]
        while len(chain) == 1 or chain[-1] != start:
            chain.append(before[chain[-1]])
        if not shortest or len(chain) < len(shortest):
            shortest = chain[::-1]
    return shortest


def room_of(module: str) -> str:
    """Return the room of a module of scanner/; for others their floor."""
    floor, _, rest = module.partition(".")
    return rest.partition(".")[0] if floor == FACE and rest else floor


def between_rooms(graph: Graph) -> dict[str, frozenset[str]]:
    """Map each room to those that it imports."""
    rooms: dict[str, set[str]] = {}
    for module, others in graph.items():
        if module != FACE:
            here = rooms.setdefault(room_of(module), set())
            here |= {room_of(other) for other in others} - {room_of(module)}
    return {room: frozenset(others) for room, others in rooms.items()}


def against_the_order(graph: Graph) -> list[str]:
    """List the imports that climb: to a later floor, or to a later room."""
    order = {name: place for place, name in enumerate(("parsers", *ROOMS, "tasks", "flows"))}
    faces = {"parsers": "parsers", "tasks": "tasks", "flows": "flows"}
    climbing = []
    for module, others in graph.items():
        if module == FACE:
            continue
        for other in others:
            # Who imports the face of scanner/ may see all of it: the floors above, nobody inside.
            there = "commands" if other == FACE else room_of(other)
            if order[faces.get(there, there)] > order[room_of(module)]:
                climbing.append(f"{module} -> {other}")
    return sorted(climbing)


MODULES = modules_of(ROOT)
GRAPH = graph_of(MODULES)


def test_every_module_lies_in_a_room() -> None:
    rooms = {room_of(module) for module in GRAPH} - {FACE}
    assert rooms <= {*FLOORS, *ROOMS}
    loose = {module for module in GRAPH if module.count(".") == 1 and module.startswith("scanner.")}
    doors = {
        "census",
        "claimants",
        "findings",
        "verdicts",
        "pins",
        "results",
        "internal_errors",
        "temporary",
        "shutdown",
        "scan",
        "verify",
    }
    packages = {module for module in loose if MODULES[module].name == "__init__.py"}
    assert {module.partition(".")[2] for module in loose - packages} == doors


def test_imports_run_one_way() -> None:
    assert not against_the_order(GRAPH)


def test_modules_import_each_other_in_no_circle() -> None:
    found = circle(GRAPH)
    assert not found, " -> ".join(found)


def test_rooms_import_each_other_in_no_circle() -> None:
    found = circle(between_rooms(GRAPH))
    assert not found, " -> ".join(found)


def test_rooms_say_what_they_are_for() -> None:
    for module, path in MODULES.items():
        if path.name == "__init__.py" and module.startswith("scanner."):
            tree = ast.parse(path.read_text())
            said = ast.get_docstring(tree) or ""
            assert 3 <= len(said.splitlines()) <= 8, module


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({"scanner/scan.py": "import prefect_mutagen.scanner.verify"}, "scanner.scan"),
        ({"scanner/storage/a.py": "from prefect_mutagen.scanner.table import x"}, "storage.a"),
        ({"scanner/storage/a.py": "from prefect_mutagen.scanner import scan"}, "storage.a"),
        ({"parsers/a.py": "def f():\n from prefect_mutagen.tasks import b"}, "parsers.a"),
    ],
    ids=["between-doors", "between-rooms", "through-the-face", "inside-a-function"],
)
def test_a_climbing_import_is_found(sources: dict[str, str], found: str, tmp_path: Path) -> None:
    kept = dict.fromkeys(("scanner", "scanner/storage", "scanner/table", "tasks", "parsers"))
    for folder in kept:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "scanner/verify.py").write_text("")
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
    (climbing,) = against_the_order(graph_of(modules_of(tmp_path)))
    assert found in climbing


def test_a_circle_is_found() -> None:
    graph = {name: frozenset(others) for name, others in {"a": "b", "b": "cd", "c": "a"}.items()}
    assert circle(graph) in (["a", "b", "c", "a"], ["b", "c", "a", "b"], ["c", "a", "b", "c"])
    assert not circle({"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()})
