"""Configurations and shapes as real models have them, by the name of the architecture.

Each is what its writer saves: the keys that its config.json states, and its tensors' names and
shapes, with few layers. None of them is a mismatch.
"""

from typing import Any

Shapes = dict[str, tuple[int, ...]]
Real = tuple[dict[str, Any], Shapes]


def decoder(
    *,
    vocabulary: int = 32000,
    hidden: int = 4096,
    inner: int = 11008,
    layers: int = 2,
    heads: int = 32,
    groups: int = 32,
    size: int = 128,
    prefix: str = "model.",
    head: bool = True,
) -> Shapes:
    """The tensors of llama and those that are built like it."""
    shapes: Shapes = {f"{prefix}embed_tokens.weight": (vocabulary, hidden)}
    for number in range(layers):
        layer = f"{prefix}layers.{number}"
        shapes |= {
            f"{layer}.self_attn.q_proj.weight": (heads * size, hidden),
            f"{layer}.self_attn.k_proj.weight": (groups * size, hidden),
            f"{layer}.self_attn.v_proj.weight": (groups * size, hidden),
            f"{layer}.self_attn.o_proj.weight": (hidden, heads * size),
            f"{layer}.input_layernorm.weight": (hidden,),
        }
        if inner:
            shapes |= {
                f"{layer}.mlp.gate_proj.weight": (inner, hidden),
                f"{layer}.mlp.up_proj.weight": (inner, hidden),
                f"{layer}.mlp.down_proj.weight": (hidden, inner),
            }
    shapes[f"{prefix}norm.weight"] = (hidden,)
    if head:
        shapes["lm_head.weight"] = (vocabulary, hidden)
    return shapes


def text(kind: str, **more: Any) -> dict[str, Any]:
    """The keys that most decoders state."""
    return {
        "model_type": kind,
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 2,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        **more,
    }


def encoder(prefix: str, **sizes: int) -> Shapes:
    """The tensors of BERT and those that are built like it."""
    hidden = sizes.get("hidden", 768)
    embedding = sizes.get("embedding", hidden)
    shapes: Shapes = {
        f"{prefix}embeddings.word_embeddings.weight": (sizes["vocabulary"], embedding),
        f"{prefix}embeddings.position_embeddings.weight": (sizes["positions"], embedding),
        f"{prefix}embeddings.token_type_embeddings.weight": (2, embedding),
        f"{prefix}embeddings.position_ids": (1, sizes["positions"]),
    }
    for number in range(2):
        shapes[f"{prefix}encoder.layer.{number}.attention.self.query.weight"] = (hidden, hidden)
    return shapes


def stack(name: str, layers: int, **shapes: tuple[int, ...]) -> Shapes:
    """Layers that each have the same tensors."""
    return {
        f"{name}.{number}.{part.replace('__', '.')}": shape
        for number in range(layers)
        for part, shape in shapes.items()
    }


VISION = stack("vision_tower.vision_model.encoder.layers", 3, mlp__fc1__weight=(4304, 1152)) | {
    "vision_tower.vision_model.embeddings.position_embedding.weight": (4096, 1152)
}

REAL: dict[str, Real] = {
    "llama": (text("llama"), decoder()),
    "llama-tied": (text("llama", tie_word_embeddings=True), decoder(head=False)),
    "llama-base-model": (
        text("llama", architectures=["LlamaModel"], tie_word_embeddings=False),
        decoder(prefix="", head=False),
    ),
    "llama-3-grouped": (
        text("llama", num_key_value_heads=8, head_dim=128),
        decoder(groups=8),
    ),
    "mistral": (
        text("mistral", intermediate_size=14336, num_key_value_heads=8),
        decoder(inner=14336, groups=8),
    ),
    "mistral-nemo": (
        text("mistral", hidden_size=5120, head_dim=128, num_key_value_heads=8),
        decoder(hidden=5120, groups=8),
    ),
    "mixtral": (
        text("mixtral", num_key_value_heads=8, intermediate_size=14336, num_local_experts=8),
        decoder(inner=0, groups=8)
        | stack("model.layers", 2, block_sparse_moe__experts__0__w1__weight=(14336, 4096)),
    ),
    "qwen2": (
        text("qwen2", vocab_size=151936, hidden_size=896, intermediate_size=4864)
        | {"num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True},
        decoder(vocabulary=151936, hidden=896, inner=4864, heads=14, groups=2, size=64, head=False),
    ),
    "qwen2-moe": (
        text("qwen2_moe", moe_intermediate_size=1408, shared_expert_intermediate_size=5632),
        decoder(inner=0)
        | stack(
            "model.layers",
            2,
            mlp__experts__0__up_proj__weight=(1408, 4096),
            mlp__shared_expert__up_proj__weight=(5632, 4096),
        ),
    ),
    "qwen3": (
        text("qwen3", hidden_size=1024, intermediate_size=3072, head_dim=128)
        | {"num_attention_heads": 16, "num_key_value_heads": 8},
        decoder(hidden=1024, inner=3072, heads=16, groups=8),
    ),
    "qwen3-next": (
        text("qwen3_next", num_nextn_predict_layers=1),
        decoder(inner=0) | {"mtp.layers.0.self_attn.q_proj.weight": (8192, 4096)},
    ),
    "qwen2.5-vl": (
        text("qwen2_5_vl", vision_config={"depth": 3, "hidden_size": 1280, "model_type": "v"}),
        decoder() | stack("visual.blocks", 3, mlp__up_proj__weight=(3420, 1280)),
    ),
    "gemma": (
        text("gemma", vocab_size=256000, hidden_size=3072, head_dim=256),
        decoder(vocabulary=256000, hidden=3072, heads=16, groups=16, size=256, head=False),
    ),
    "gemma2": (
        text("gemma2", vocab_size=256000, hidden_size=2304, head_dim=256),
        decoder(vocabulary=256000, hidden=2304, heads=8, groups=4, size=256, head=False),
    ),
    "gemma3-text-part-without-a-vocabulary": (
        {
            "model_type": "gemma3",
            "image_token_index": 262144,
            "text_config": {
                "model_type": "gemma3_text",
                "hidden_size": 2560,
                "intermediate_size": 10240,
                "num_hidden_layers": 2,
            },
            "vision_config": {"hidden_size": 1152, "num_hidden_layers": 3, "model_type": "siglip"},
        },
        decoder(
            vocabulary=262208, hidden=2560, inner=10240, prefix="language_model.model.", head=False
        )
        | VISION,
    ),
    "gemma3n-widths-by-layer": (
        {
            "model_type": "gemma3n",
            "text_config": text(
                "gemma3n_text",
                vocab_size=262400,
                vocab_size_per_layer_input=262144,
                intermediate_size=[8192, 16384],
            ),
        },
        decoder(vocabulary=262400, prefix="model.language_model.", head=False)
        | {"model.language_model.embed_tokens_per_layer.weight": (262144, 7680)},
    ),
    "llava-text-part-without-sizes": (
        {
            "model_type": "llava",
            "text_config": {"_name_or_path": "x", "model_type": "llama", "vocab_size": 32064},
            "vision_config": {"hidden_size": 1024, "num_hidden_layers": 3, "vocab_size": 32000},
            "vocab_size": 32064,
        },
        decoder(vocabulary=32064, prefix="language_model.model.", head=False) | VISION,
    ),
    "phi": (
        text("phi", vocab_size=51200, hidden_size=2560, intermediate_size=10240),
        decoder(vocabulary=51200, hidden=2560, inner=0, heads=32, groups=32, size=80)
        | stack("model.layers", 2, mlp__fc1__weight=(10240, 2560)),
    ),
    "phi3": (
        text("phi3", vocab_size=32064, hidden_size=3072),
        {"model.embed_tokens.weight": (32064, 3072), "lm_head.weight": (32064, 3072)}
        | stack("model.layers", 2, mlp__gate_up_proj__weight=(22016, 3072)),
    ),
    "gpt2": (
        {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 2, "n_ctx": 1024}
        | {"n_positions": 1024, "architectures": ["GPT2LMHeadModel"]},
        {"wte.weight": (50257, 768), "wpe.weight": (1024, 768)}
        | stack("h", 2, attn__bias=(1, 1, 1024, 1024), mlp__c_fc__weight=(768, 3072)),
    ),
    "gpt-neox": (
        text("gpt_neox", vocab_size=50432, hidden_size=6144),
        {"gpt_neox.embed_in.weight": (50432, 6144), "embed_out.weight": (50432, 6144)}
        | stack("gpt_neox.layers", 2, mlp__dense_h_to_4h__weight=(24576, 6144)),
    ),
    "bloom": (
        {"model_type": "bloom", "vocab_size": 250880, "hidden_size": 1024, "n_layer": 2},
        {"word_embeddings.weight": (250880, 1024)}
        | stack("h", 2, mlp__dense_h_to_4h__weight=(4096, 1024)),
    ),
    "falcon": (
        {"model_type": "falcon", "vocab_size": 65024, "hidden_size": 4544}
        | {"num_hidden_layers": 2},
        {"transformer.word_embeddings.weight": (65024, 4544), "lm_head.weight": (65024, 4544)}
        | stack("transformer.h", 2, mlp__dense_h_to_4h__weight=(18176, 4544)),
    ),
    "opt-projected-embeddings": (
        {"model_type": "opt", "vocab_size": 50272, "hidden_size": 1024, "num_hidden_layers": 2}
        | {"word_embed_proj_dim": 512, "max_position_embeddings": 2048},
        {
            "model.decoder.embed_tokens.weight": (50272, 512),
            "model.decoder.embed_positions.weight": (2050, 1024),
        }
        | stack("model.decoder.layers", 2, fc1__weight=(4096, 1024)),
    ),
    "bert": (
        {"model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 2}
        | {"max_position_embeddings": 512, "intermediate_size": 3072},
        encoder("bert.", vocabulary=30522, positions=512),
    ),
    "roberta": (
        {"model_type": "roberta", "vocab_size": 50265, "hidden_size": 768}
        | {"num_hidden_layers": 2, "max_position_embeddings": 514},
        encoder("roberta.", vocabulary=50265, positions=514),
    ),
    "electra-narrow-embeddings": (
        {"model_type": "electra", "vocab_size": 30522, "hidden_size": 256, "embedding_size": 128}
        | {"num_hidden_layers": 2, "max_position_embeddings": 512},
        encoder("electra.", vocabulary=30522, positions=512, hidden=256, embedding=128),
    ),
    "albert-shared-layers": (
        {"model_type": "albert", "vocab_size": 30000, "hidden_size": 768, "embedding_size": 128}
        | {"num_hidden_layers": 12, "max_position_embeddings": 512},
        {
            "albert.embeddings.word_embeddings.weight": (30000, 128),
            "albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight": (3072, 768),
        },
    ),
    "distilbert": (
        {"model_type": "distilbert", "vocab_size": 30522, "dim": 768, "n_layers": 2}
        | {"hidden_dim": 3072, "max_position_embeddings": 512},
        {
            "distilbert.embeddings.word_embeddings.weight": (30522, 768),
            "distilbert.embeddings.position_embeddings.weight": (512, 768),
        }
        | stack("distilbert.transformer.layer", 2, ffn__lin1__weight=(3072, 768)),
    ),
    "t5": (
        {"model_type": "t5", "vocab_size": 32128, "d_model": 512, "num_layers": 2}
        | {"num_decoder_layers": 3, "d_ff": 1024, "d_kv": 64},
        {"shared.weight": (32128, 512), "decoder.embed_tokens.weight": (32128, 512)}
        | stack("encoder.block", 2, layer__0__SelfAttention__q__weight=(384, 512))
        | stack("decoder.block", 3, layer__0__SelfAttention__q__weight=(384, 512)),
    ),
    "bart-distilled": (
        {"model_type": "bart", "vocab_size": 50264, "d_model": 1024, "encoder_layers": 3}
        | {"decoder_layers": 2, "num_hidden_layers": 3},
        {"model.shared.weight": (50264, 1024)}
        | stack("model.encoder.layers", 3, fc1__weight=(4096, 1024))
        | stack("model.decoder.layers", 2, fc1__weight=(4096, 1024)),
    ),
    "whisper-turbo": (
        {"model_type": "whisper", "vocab_size": 51866, "d_model": 1280, "encoder_layers": 4}
        | {"decoder_layers": 2, "num_hidden_layers": 4},
        {"model.decoder.embed_tokens.weight": (51866, 1280)}
        | stack("model.encoder.layers", 4, fc1__weight=(5120, 1280))
        | stack("model.decoder.layers", 2, fc1__weight=(5120, 1280)),
    ),
    "encoder-decoder-of-two-models": (
        {"model_type": "encoder-decoder", "encoder": text("bert"), "decoder": text("gpt2")},
        encoder("encoder.", vocabulary=28996, positions=512) | {"decoder.wte.weight": (1, 1)},
    ),
    "deepseek-v3-predicts-more": (
        text("deepseek_v3", num_nextn_predict_layers=1, moe_intermediate_size=2048)
        | {"first_k_dense_replace": 1},
        {"model.embed_tokens.weight": (32000, 4096), "lm_head.weight": (32000, 4096)}
        | stack("model.layers", 1, mlp__up_proj__weight=(11008, 4096))
        | {
            "model.layers.1.mlp.experts.0.up_proj.weight": (2048, 4096),
            "model.layers.2.embed_tokens.weight": (32000, 4096),
            "model.layers.2.eh_proj.weight": (4096, 8192),
        },
    ),
    "mamba-original-padded": (
        {"d_model": 768, "n_layer": 2, "vocab_size": 50277, "pad_vocab_size_multiple": 8},
        {"backbone.embedding.weight": (50280, 768)}
        | stack("backbone.layers", 2, mixer__A_log=(1536, 16)),
    ),
    "mamba": (
        {"model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 2, "vocab_size": 50280},
        {"backbone.embeddings.weight": (50280, 768)}
        | stack("backbone.layers", 2, mixer__A_log=(1536, 16)),
    ),
    "nemotron-nas-layers-that-differ": (
        text("nemotron-nas", block_configs=[{}, {}], num_hidden_layers=9),
        decoder(inner=5000),
    ),
    "chatglm-padded-vocabulary": (
        {"model_type": "chatglm", "padded_vocab_size": 65024, "hidden_size": 4096}
        | {"num_layers": 2},
        {"transformer.embedding.word_embeddings.weight": (65024, 4096)}
        | stack("transformer.encoder.layers", 2, mlp__dense_h_to_4h__weight=(27392, 4096)),
    ),
    "clip": (
        {
            "model_type": "clip",
            "projection_dim": 512,
            "text_config": {"hidden_size": 512, "vocab_size": 49408, "num_hidden_layers": 2},
            "vision_config": {"hidden_size": 768, "num_hidden_layers": 3},
        },
        {"text_model.embeddings.token_embedding.weight": (49408, 512)}
        | stack("text_model.encoder.layers", 2, mlp__fc1__weight=(2048, 512))
        | stack("vision_model.encoder.layers", 3, mlp__fc1__weight=(3072, 768)),
    ),
    "vit": (
        {"model_type": "vit", "hidden_size": 768, "num_hidden_layers": 2},
        {"vit.embeddings.cls_token": (1, 1, 768)}
        | stack("vit.encoder.layer", 2, intermediate__dense__weight=(3072, 768)),
    ),
    "moshi-one-row-more": (
        text("moshi"),
        decoder(vocabulary=32001),
    ),
    "audio-model-with-a-codec": (
        text("qwen2_audio", text_config=text("qwen2")),
        decoder(prefix="language_model.model.", head=False)
        | {"codec.embed_tokens.weight": (1024, 64)},
    ),
    "pipeline-part": (
        {"_class_name": "UNet2DConditionModel", "sample_size": 64},
        {"down_blocks.0.attentions.0.proj_in.weight": (320, 320)},
    ),
    "gpt-oss-packed": (
        text("gpt_oss", num_local_experts=4),
        {"model.embed_tokens.weight": (32000, 4096), "lm_head.weight": (32000, 4096)}
        | stack("model.layers", 2, mlp__experts__gate_up_proj_blocks=(4, 5760, 90, 16)),
    ),
    "adapter": (
        text("llama"),
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": (8, 4096)},
    ),
}
