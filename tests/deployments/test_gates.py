"""The examples of gates: parsed by those who read them, and their commands run on real models."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from tests.builders import gguf, safetensors, tensor
from tests.deployments.machine import Machine
from tests.distributions.installing import Installed
from tests.scanner.storing import put_local
from tests.servers import S3Server, WebServer

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deployments"
GGUF = gguf().data
SAFETENSORS = safetensors({"w": tensor("F32", [2], 0, 8)}, bytes(8))
CARD = b"---\nlicense: %s\n---\n"
MOST = 4096
"""Bytes of a termination message."""
KUBERNETES = "1.34"
"""Any supported version has what the examples use."""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A folder in which commands find the programs of the image."""
    return Machine(tmp_path)


def _documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def _pod(containers: list[dict[str, Any]]) -> dict[str, Any]:
    spec = {"containers": containers}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


# vLLM


def _vllm() -> tuple[dict[str, Any], dict[str, Any]]:
    """The data of the policy's map, and the specification of the pod."""
    policy, deployment = _documents(SHIPPED / "vllm/gate.yaml")
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return policy["data"], spec


def test_kubernetes_takes_the_manifests_of_vllm() -> None:
    for document in _documents(SHIPPED / "vllm/gate.yaml"):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_kubernetes_would_refuse_a_mistake() -> None:
    _, deployment = _documents(SHIPPED / "vllm/gate.yaml")
    (gate,) = deployment["spec"]["template"]["spec"]["initContainers"]
    gate["terminationMessagePth"] = gate.pop("terminationMessagePath")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


def test_what_is_verified_is_what_vllm_loads() -> None:
    _, spec = _vllm()
    (gate,), (server,) = spec["initContainers"], spec["containers"]
    loaded = server["args"][server["args"].index("--model") + 1]
    assert loaded in gate["args"]
    for container in (gate, server):
        (mount,) = [one for one in container["volumeMounts"] if one["name"] == "models"]
        assert loaded.startswith(mount["mountPath"])
        assert mount["readOnly"] is True
    assert f"--output={gate['terminationMessagePath']}" in gate["args"]


@pytest.mark.parametrize(
    ("files", "status", "said"),
    [
        ({"model.safetensors": SAFETENSORS, "README.md": CARD % b"mit"}, 0, "1 passed"),
        ({"model.safetensors": SAFETENSORS[:20]}, 1, "safetensors/"),
        ({"model.safetensors": SAFETENSORS, "README.md": CARD % b"cc-by-nc-4.0"}, 1, "licence"),
        ({"model.gguf": GGUF}, 1, "policy/format"),
        ({}, 2, "no such"),
    ],
    ids=["good", "broken", "licence", "format", "missing"],
)
def test_the_gate_of_vllm(
    machine: Machine, files: dict[str, bytes], status: int, said: str
) -> None:
    data, spec = _vllm()
    (gate,) = spec["initContainers"]
    for name, text in data.items():
        machine.write(f"/etc/mutagen/{name}", text.encode())
    if files:
        put_local(Path(machine.path("/models/YOUR_MODEL")), files)
    done = machine.run([*gate["command"], *gate["args"]])
    assert done.returncode == status, done.stderr
    told = Path(machine.path(gate["terminationMessagePath"])).read_bytes()
    assert said in told.decode()
    assert len(told) <= MOST


# KServe


def _kserve() -> dict[str, Any]:
    (document,) = _documents(SHIPPED / "kserve/storage_container.yaml")
    return document


def test_kserve_finds_what_it_looks_for() -> None:
    document = _kserve()
    assert (document["apiVersion"], document["kind"]) == (
        "serving.kserve.io/v1alpha1",
        "ClusterStorageContainer",
    )
    spec = document["spec"]
    assert spec.keys() == {"container", "supportedUriFormats", "workloadType"}
    assert spec["container"]["name"] == "storage-initializer"
    assert all(one.keys() <= {"prefix", "regex"} for one in spec["supportedUriFormats"])
    kubernetes_validate.validate(_pod([spec["container"]]), KUBERNETES, strict=True)


@pytest.fixture
def initialize(machine: Machine) -> Any:
    """Run the container as KServe does: its own command, and address and folder as arguments."""
    container = _kserve()["spec"]["container"]
    variables = {one["name"]: machine.path(one["value"]) for one in container["env"]}
    target = Path(machine.path("/mnt/models"))

    def run(*sources: str, **more: str) -> tuple[int, dict[str, bytes], str]:
        pairs = [word for source in sources for word in (source, str(target))]
        done = machine.run([*container["command"], *pairs], **variables, **more)
        there = {
            str(path.relative_to(target)): path.read_bytes()
            for path in target.rglob("*")
            if path.is_file()
        }
        return done.returncode, there, Path(variables["MUTAGEN_MESSAGE"]).read_text()

    return run


@pytest.mark.parametrize("kind", ["s3", "folder"])
def test_kserve_downloads_what_passes(
    initialize: Any, kind: str, s3_server: S3Server, tmp_path: Path
) -> None:
    files = {
        "model.safetensors": SAFETENSORS,
        "sub/notes.txt": b"notes",
        "README.md": CARD % b"mit",
    }
    more = {"PREFECT_MUTAGEN_STORAGE_OPTIONS": json.dumps(s3_server.options)}
    if kind == "s3":
        place = f"s3://{s3_server.bucket({f'm/{name}': data for name, data in files.items()})}/m"
    else:
        place, more = put_local(tmp_path / "source", files), {}
    status, there, told = initialize(place, **more)
    assert (status, there) == (0, files), told
    assert told.startswith("1 passed\n")


def test_kserve_downloads_one_file_of_a_web_server(initialize: Any, tmp_path: Path) -> None:
    put_local(tmp_path / "site", {"m.gguf": GGUF})
    with WebServer(tmp_path / "site") as site:
        status, there, _ = initialize(f"{site.url}/m.gguf")
    assert (status, there) == (0, {"m.gguf": GGUF})


def test_kserve_downloads_nothing_of_what_is_refused(initialize: Any, s3_server: S3Server) -> None:
    bucket = s3_server.bucket({"m/model.safetensors": SAFETENSORS[:20]})
    options = json.dumps(s3_server.options)
    status, there, told = initialize(f"s3://{bucket}/m", PREFECT_MUTAGEN_STORAGE_OPTIONS=options)
    assert (status, there) == (1, {})
    assert "safetensors/" in told


def test_what_was_replaced_during_the_download_is_deleted(
    initialize: Any, machine: Machine, tmp_path: Path
) -> None:
    place = put_local(tmp_path / "source", {"m.gguf": GGUF})
    # Who verifies first sees the good one; then it is replaced.
    machine.wrap(
        "prefect-mutagen",
        after=f"head -c 100 {place}/m.gguf >{place}/n; mv {place}/n {place}/m.gguf 2>/dev/null",
    )
    status, there, told = initialize(place)
    assert (status, there) == (1, {})
    assert told.startswith("1 failed\n")


@pytest.mark.parametrize(
    ("words", "said"), [(["s3://b"], "usage"), (["", "t"], "usage"), ([], "usage")]
)
def test_wrong_arguments_are_told(machine: Machine, words: list[str], said: str) -> None:
    message = machine.path("/dev/termination-log")
    done = machine.run(["mutagen-storage-initializer", *words], MUTAGEN_MESSAGE=message)
    assert done.returncode == 2
    assert said in Path(message).read_text()


def test_a_policy_counts_for_kserve(initialize: Any, machine: Machine, tmp_path: Path) -> None:
    place = put_local(tmp_path / "source", {"m.gguf": GGUF})
    policy = machine.write("/etc/mutagen/policy.yaml", b"allowed_formats: [safetensors]\n")
    status, there, told = initialize(place, MUTAGEN_POLICY=policy)
    assert (status, there) == (1, {})
    assert "policy/format" in told


# GitHub


WORKFLOW = SHIPPED / "github/scan_models.yml"


def _workflow() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(WORKFLOW.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - texts alone
    return loaded


def test_github_takes_the_workflow(tmp_path: Path) -> None:
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    done = subprocess.run(
        [*schema, "vendor.github-workflows", str(WORKFLOW)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    shutil.copy(WORKFLOW, folder)
    lint = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--quiet", str(tmp_path)]
    done = subprocess.run(lint, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    for line in re.findall(r"uses: (.*)", WORKFLOW.read_text()):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", line)


@pytest.mark.parametrize(("data", "status", "results"), [(GGUF, 0, 0), (GGUF[:100], 1, 1)])
def test_the_steps_of_the_workflow(
    machine: Machine, data: bytes, status: int, results: int
) -> None:
    steps = {step["name"]: step for step in _workflow()["jobs"]["scan"]["steps"] if "name" in step}
    assert steps["Install"]["run"] == "python -m pip install prefect-mutagen-scanner"
    put_local(Path(machine.path("/github/workspace/models")), {"m.gguf": data})
    # As GitHub runs a step: bash -e, in the folder of the checkout.
    done = machine.run(["bash", "-e", "-c", steps["Scan"]["run"]], folder="/github/workspace")
    assert done.returncode == status, done.stderr
    uploaded = machine.path(f"/github/workspace/{steps['Upload']['with']['sarif_file']}")
    (run,) = json.loads(Path(uploaded).read_text())["runs"]
    errors = [one for one in run["results"] if one["level"] == "error"]
    assert len(errors) >= results
    assert bool(errors) == bool(results)
    assert "cancelled" in steps["Upload"]["if"], "what was found is shown when the scan fails"


# pre-commit


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({"a/m.gguf": GGUF, "notes.md": b"x"}, 0),
        ({"a/m.gguf": GGUF, "b/m.gguf": GGUF[:100]}, 1),
        ({"notes.md": b"no model"}, 0),
    ],
    ids=["good", "bad", "none"],
)
def test_the_hook_as_pre_commit_runs_it(
    machine: Machine, files: dict[str, bytes], status: int, tmp_path: Path
) -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (hook,) = [one for one in hooks if one["id"] == "verify-models-system"]
    place = put_local(tmp_path / "repository", files)
    config = {"repos": [{"repo": "local", "hooks": [hook]}]}
    Path(place, ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    for words in (["git", "init", "-q"], ["git", "add", "."]):
        assert machine.run(words, folder=place).returncode == 0
    run = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    done = machine.run(run, folder=place)
    assert done.returncode == status, done.stdout
    assert ("b/m.gguf" in done.stdout) == (status == 1)


def test_all_hooks_are_one_command() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    whole, installed = hooks
    (own,) = yaml.safe_load((SHIPPED / "pre-commit/config.yaml").read_text())["repos"]
    (small,) = own["hooks"]
    assert small["additional_dependencies"] == ["prefect-mutagen-scanner"]
    assert (whole["language"], installed["language"]) == ("python", "system")
    for name in ("entry", "files", "require_serial"):
        assert whole[name] == installed[name] == small[name]
    for kind, path in (
        ("manifest", ROOT / ".pre-commit-hooks.yaml"),
        ("config", SHIPPED / "pre-commit/config.yaml"),
    ):
        check = [sys.executable, "-m", "pre_commit", f"validate-{kind}", str(path)]
        assert subprocess.run(check, check=False).returncode == 0
    assert re.search(whole["files"], "a/model-00001-of-00002.safetensors")
    assert not re.search(whole["files"], "a/config.json")


# The image


def _stages(path: Path, folder: Path) -> list[list[tuple[str, str]]]:
    """The instructions of each stage of a Dockerfile."""
    parser = DockerfileParser(path=str(folder))
    parser.content = path.read_text()
    stages: list[list[tuple[str, str]]] = [[]]
    for step in parser.structure:
        if step["instruction"] == "FROM":
            stages.append([])
        if step["instruction"] != "COMMENT":
            stages[-1].append((step["instruction"], step["value"]))
    return stages


DOCKERFILE = SHIPPED / "container/Dockerfile"


def test_the_last_stage_has_no_compiler_and_no_root(tmp_path: Path) -> None:
    before, build, last = _stages(DOCKERFILE, tmp_path)
    assert [name for name, _ in before] == ["ARG"]
    assert {name for name, _ in last} <= {"FROM", "COPY", "ENV", "USER", "ENTRYPOINT", "CMD"}
    assert dict(last)["USER"] == "10001:10001"
    assert json.loads(dict(last)["ENTRYPOINT"]) == ["prefect-mutagen"]
    assert [value for name, value in last if name == "COPY"] == [
        "--from=build /opt/mutagen /opt/mutagen"
    ]
    constraint = "PIP_CONSTRAINT=/source/constraints.txt"
    assert [value for name, value in build if name == "ENV" and constraint in value]
    # Placeholders are the reader's registry; a base image has no host before it.
    assert "://" not in DOCKERFILE.read_text()


def test_all_that_the_image_is_made_from_is_sent_to_the_builder() -> None:
    ignored = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert all((ROOT / name).exists() for name in sent)
    split = (ROOT / "distributions/split.py").read_text()
    for name in (*re.findall(r'ROOT, "([\w.]+)"', split), "distributions", "constraints.txt"):
        assert name in sent
    assert {"parsers", "scanner", "flows", "tasks", "deployments", "prefect_mutagen"} <= sent


@pytest.mark.slow
@pytest.mark.parametrize("extras", ["s3", ""])
def test_the_steps_that_build_the_image(extras: str, tmp_path: Path) -> None:
    """Each RUN but that of apt, with folders of this machine, and without an index."""
    _, build, last = _stages(DOCKERFILE, tmp_path)
    here = tmp_path / uuid.uuid4().hex
    places = {
        "/opt/mutagen": str(here / "opt"),
        "/trees": str(here / "trees"),
        "/source": str(ROOT),
    }

    def local(text: str) -> str:
        for place, instead in places.items():
            text = text.replace(place, instead)
        return text

    environment = {
        **os.environ,
        "EXTRAS": extras,
        "PIP_CONSTRAINT": local("/source/constraints.txt"),
    }
    environment |= {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    steps = [value for name, value in build if name == "RUN" and "apt-get" not in value]
    assert len(steps) == 4
    for step in steps:
        shell = ["sh", "-c", local(step)]
        done = subprocess.run(
            shell, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (step, done.stderr)
        if "-m venv" in step:  # where it would fetch the tools that build, they are these
            (packages,) = here.glob("opt/lib/*/site-packages")
            libraries = [path for path in sys.path if path.endswith("site-packages")]
            (packages / "tools.pth").write_text("\n".join(libraries))
    image = Installed(Path(places["/opt/mutagen"]))
    assert image.distributions() == {"prefect-mutagen-scanner"}
    (variables,) = [value for name, value in last if name == "ENV"]
    assert shlex.split(variables)[0] == "PATH=/opt/mutagen/bin:$PATH"
    for name in ("prefect-mutagen", "mutagen-storage-initializer"):
        assert os.access(image.folder / "bin" / name, os.X_OK)
