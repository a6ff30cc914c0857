"""Models signed as their publishers do, by OpenSSF's signer, and what its verifier says."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import model_signing
from cryptography.hazmat.primitives.asymmetric import ec

from prefect_mutagen.scanner import ArtifactRejected, Policy, ScanResult, scan, verify
from prefect_mutagen.scanner.policy.policy import Signer
from tests.certificates import private_pem, public_pem
from tests.scanner.examine.shard_builders import Files, model, shard

KEY = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
POLICY = Policy(allowed_signers=(Signer(public_key=public_pem(KEY)),))
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "auto_map": {"AutoModelForCausalLM": "modeling_x.XForCausalLM"},
    "model_type": "llama",
}
SHARDS = [f"model-{number:05d}-of-00002.safetensors" for number in (1, 2)]
LARGE = b"{" + b" " * (1 << 20) + b"}"


def model_files() -> Files:
    """A model as transformers loads it, with code, templates and a script of its own."""
    return {
        "README.md": b"---\nlicense: mit\n---\n# Card\n",
        "LICENSE": b"MIT License",
        "chat_template.jinja": b"{{ messages[0].content }}",
        "config.json": json.dumps(CONFIG).encode(),
        "configuration_x.py": b"class XConfig:\n    pass\n",
        "custom_generate/generate.py": b"def generate(model):\n    return model\n",
        "eval/results.json": b"{}",
        "generation_config.json": b"{}",
        "images/logo.png": b"\x89PNG",
        "modeling_x.py": b"from .configuration_x import XConfig\nclass XForCausalLM:\n    pass\n",
        "special_tokens_map.json": b"{}",
        "tokenizer.json": LARGE,
        "tokenizer_config.json": b'{"tokenizer_class": "LlamaTokenizer"}',
        "tools/convert.py": b"print('converts')\n",
        **model("model-%05d-of-00002.safetensors"),
    }


def pipeline_files() -> Files:
    """A pipeline as diffusers loads it."""
    index = {
        "_class_name": "XPipeline",
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    return {
        "README.md": b"---\nlicense: mit\n---\n",
        "model_index.json": json.dumps(index).encode(),
        "scheduler/scheduler_config.json": b'{"_class_name": "EulerDiscreteScheduler"}',
        "unet/config.json": b'{"_class_name": "UNet2DConditionModel"}',
        "unet/diffusion_pytorch_model.safetensors": shard("unet"),
        "vae/config.json": b'{"_class_name": "AutoencoderKL"}',
        "vae/diffusion_pytorch_model.safetensors": shard("vae"),
    }


def sign_folder(
    root: str, key: ec.EllipticCurvePrivateKey = KEY, ignored: Sequence[str] = ()
) -> None:
    """Sign a folder as the command ``model_signing sign`` does."""
    path = Path(f"{root}.pem")
    path.write_bytes(private_pem(key))
    hashing = model_signing.hashing.Config().set_ignored_paths(paths=["model.sig", *ignored])
    config = model_signing.signing.Config().set_hashing_config(hashing)
    config.use_elliptic_key_signer(private_key=path).sign(root, f"{root}/model.sig")


def oracle_refuses(root: str) -> bool:
    """Whether ``model_signing verify`` refuses a folder."""
    path = Path(f"{root}.pub")
    path.write_text(public_pem(KEY))
    hashing = model_signing.hashing.Config().set_ignored_paths(paths=["model.sig"])
    config = model_signing.verifying.Config().set_hashing_config(hashing)
    try:
        config.use_elliptic_key_verifier(public_key=path).verify(root, f"{root}/model.sig")
    except (ValueError, OSError):
        return True
    return False


def results_of(root: str, policy: Policy = POLICY, **options: Any) -> list[ScanResult]:
    return list(scan(root, policy=policy, hash="full", **options))


def is_refused(root: str, policy: Policy = POLICY) -> bool:
    """Whether a folder is refused: by a scan and by a check alike."""
    scanned = not all(result.passed for result in results_of(root, policy))
    try:
        verify(root, policy=policy)
    except ArtifactRejected:
        assert scanned
        return True
    assert not scanned
    return False
