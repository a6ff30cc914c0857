import hashlib
import json
from pathlib import Path
from typing import Any

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.sbom.json_text import to_json
from tests.builders import ARRAY, F32, STRING, U32, gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import put_local


def _facts(tmp_path: Path, **files: bytes) -> dict[str, Any]:
    named = {name.replace("__", "."): data for name, data in files.items()}
    (result,) = scan(put_local(tmp_path, named))
    facts: dict[str, Any] = json.loads(to_json(result.to_report()))["facts"]
    facts.pop("census")  # of the model's files, not of what they say
    return facts


def test_what_a_gguf_header_states(tmp_path: Path) -> None:
    template = "{{ messages }}"
    data = gguf(
        (
            ("general.architecture", STRING, "llama"),
            ("general.name", STRING, "Tiny"),
            ("general.organization", STRING, "Org"),
            ("general.tags", ARRAY, (STRING, ["a", "b"])),
            ("general.languages", ARRAY, (STRING, ["en"])),
            ("general.base_model.count", U32, 2),
            ("general.base_model.0.name", STRING, "Base"),
            ("general.base_model.0.repo_url", STRING, "https://huggingface.co/org/base"),
            ("general.base_model.1.name", STRING, "Other"),
            ("general.dataset.count", U32, 1),
            ("general.dataset.0.name", STRING, "Data"),
            ("llama.expert_count", U32, 8),
            ("llama.expert_used_count", U32, 2),
            ("llama.rope.scaling.type", STRING, "yarn"),
            ("llama.rope.scaling.factor", F32, 4.0),
            ("llama.rope.scaling.original_context_length", U32, 8192),
            ("adapter.type", STRING, "lora"),
            ("adapter.lora.alpha", F32, 16.0),
            ("tokenizer.ggml.model", STRING, "gpt2"),
            ("tokenizer.chat_template", STRING, template),
        )
    ).data
    facts = _facts(tmp_path, m__gguf=data)
    assert facts == {
        "name": "Tiny",
        "organization": "Org",
        "type": "adapter",
        "tokenizer": "gpt2",
        "tags": ["a", "b"],
        "languages": ["en"],
        "datasets": [{"name": "Data"}],
        "base_models": [
            {"name": "Base", "repo_url": "https://huggingface.co/org/base"},
            {"name": "Other"},
        ],
        "experts": {"count": 8, "used": 2},
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_context_length": 8192},
        "adapter": {"type": "lora", "lora_alpha": 16.0},
        "chat_templates": [
            {
                "place": "tokenizer.chat_template",
                "length": len(template),
                "sha256": hashlib.sha256(template.encode()).hexdigest(),
                "rendered_by": ["transformers", "llama.cpp", "ollama", "vllm"],
            }
        ],
    }


def test_what_the_files_beside_a_model_state(tmp_path: Path) -> None:
    config = {
        "text_config": {
            "num_local_experts": 16,
            "num_experts_per_tok": 1,
            "rope_scaling": {"rope_type": "llama3", "factor": 8.0},
        }
    }
    facts = _facts(
        tmp_path,
        m__safetensors=safetensors('{"a":%s}' % GOOD, 4),
        config__json=json.dumps(config).encode(),
        generation_config__json=b'{"temperature": 0.6, "do_sample": true, "top_k": "x"}',
        adapter_config__json=b'{"peft_type": "LORA", "r": 8, "lora_alpha": 16}',
        chat_template__jinja=b"{{ x }}",
        README__md=b"---\ntags: [x, 7]\nlanguage: en\ndatasets: [a/b]\nlibrary_name: peft\n"
        b"pipeline_tag: text-generation\nbase_model_relation: adapter\n---\n",
    )
    assert facts == {
        "experts": {"count": 16, "used": 1},
        "rope_scaling": {"type": "llama3", "factor": 8.0},
        "generation": {"do_sample": True, "temperature": 0.6},
        "adapter": {"type": "LORA", "rank": 8, "lora_alpha": 16},
        "tags": ["x", "7"],
        "languages": ["en"],
        "datasets": ["a/b"],
        "library": "peft",
        "pipeline": "text-generation",
        "relation": "adapter",
        "chat_templates": [
            {
                "place": "chat_template.jinja",
                "length": 7,
                "sha256": hashlib.sha256(b"{{ x }}").hexdigest(),
                "rendered_by": ["vllm"],
            }
        ],
    }


def test_packed_weights_have_a_stored_and_a_logical_count(tmp_path: Path) -> None:
    header = '{"l.qweight":{"dtype":"I32","shape":[64],"data_offsets":[0,256]}}'
    config = {"quantization_config": {"quant_method": "awq", "bits": 4}, "torch_dtype": "float16"}
    root = put_local(
        tmp_path,
        {"m.safetensors": safetensors(header, 256), "config.json": json.dumps(config).encode()},
    )
    (result,) = scan(root)
    assert result.sbom.parameter_count == 512
    assert result.facts["stored_parameter_count"] == 64
    assert result.sbom.metadata["stored_parameter_count"] == 64
    assert result.sbom.quantization == "awq-4bit"
    assert result.sbom.dtype == "float16"
    assert result.sources["parameter_count"] == "config.json:quantization_config"


def test_hostile_values_stay_short_and_are_numbers(tmp_path: Path) -> None:
    data = gguf(
        (
            ("general.architecture", STRING, "llama"),
            ("general.name", STRING, "x" * 100_000),
            ("llama.rope.scaling.factor", F32, float("nan")),
            ("general.base_model.count", U32, 2**32 - 1),
            ("general.tags", ARRAY, (STRING, ["t" * 5000] * 1000)),
        )
    ).data
    facts = _facts(tmp_path, m__gguf=data)
    assert len(facts["name"]) == 1000
    assert "rope_scaling" not in facts
    assert "base_models" not in facts
    assert len(facts["tags"]) == 16
    assert max(map(len, facts["tags"])) == 1000
