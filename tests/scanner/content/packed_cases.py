"""Layouts of packed weights as their writers make them: tensors, configuration, name."""

from typing import Any

# A wide embedding of 10 x 64 and a layer of 64 x 512: so many weights in every layout.
WEIGHTS = 10 * 64 + 64 * 512
L = "model.layers.0.mlp.up_proj"
E = "model.layers.0.mlp.experts"
Row = tuple[str, str, tuple[int, ...]]


def tensors(text: str) -> list[Row]:
    """Tensors as a text: name (``L`` and ``E`` stand for a layer and its experts), dtype, shape."""
    rows: list[Row] = []
    for entry in text.split(", "):
        name, dtype, *shape = entry.split()
        name = {"L": L, "E": E}.get(name[0], name[0]) + name[1:]
        rows.append((name, dtype, tuple(map(int, shape[0].split("x"))) if shape else ()))
    return rows


def q(method: str, **more: Any) -> dict[str, Any]:
    return {"quantization_config": {"quant_method": method, **more}}


def ct(*groups: tuple[int, int | None], **more: Any) -> dict[str, Any]:
    entries = {
        f"group_{n}": {"weights": {"num_bits": bits, "group_size": size}}
        for n, (bits, size) in enumerate(groups)
    }
    return q("compressed-tensors", config_groups=entries, **more)


def mlx(**more: Any) -> dict[str, Any]:
    return {"quantization": {"group_size": 64, "bits": 4, **more}}


def gptq(bits: int, *, zeros: bool = True) -> list[Row]:
    rows = tensors(f"L.qweight I32 {16 * bits}x64, L.scales F16 4x64, L.g_idx I32 512")
    return rows + (tensors(f"L.qzeros I32 4x{2 * bits}") if zeros else [])


def affine(bits: int, group: int = 64) -> list[Row]:
    groups = 512 // group
    return tensors(
        f"L.weight U32 64x{16 * bits}, L.scales BF16 64x{groups}, L.biases BF16 64x{groups}"
    )


NF4 = tensors(
    "L.weight U8 16384x1, L.weight.absmax U8 512, L.weight.quant_map F32 16, "
    "L.weight.nested_absmax F32 2, L.weight.nested_quant_map F32 256, "
    "L.weight.quant_state.bitsandbytes__nf4 U8 80"
)
NVFP4 = tensors(
    "L.weight U8 64x256, L.weight_scale F8_E4M3 64x32, L.weight_scale_2 F32, L.input_scale F32"
)
MXFP4 = tensors("L_blocks U8 64x16x16, L_scales U8 64x16")
AWQ = tensors("L.qweight I32 512x8, L.qzeros I32 4x8, L.scales F16 4x64")
EXL2 = tensors(
    "L.q_weight I32 77x64, L.q_invperm I32 512, L.q_scale I32 8x8, "
    "L.q_scale_max F16 8, L.q_groups I16 16"
)

KNOWN: dict[str, tuple[list[Row], dict[str, Any], str | None]] = {
    **{
        f"mlx-affine-{n}": (affine(n), mlx(bits=n), f"mlx-affine-{n}bit")
        for n in (2, 3, 4, 5, 6, 8)
    },
    "mlx-config-twice": (
        affine(4),
        {**mlx(mode="affine"), "quantization_config": mlx()["quantization"]},
        "mlx-affine-4bit",
    ),
    "mlx-only-quantization-config": (
        affine(6),
        {"quantization_config": {"group_size": 64, "bits": 6}},
        "mlx-affine-6bit",
    ),
    "mlx-a-layer-of-its-own": (
        affine(8, 32),
        mlx(**{L: {"group_size": 32, "bits": 8}}),
        "mlx-affine-4bit",
    ),
    "mlx-mxfp4": (
        tensors("L.weight U32 64x64, L.scales U8 64x16"),
        mlx(group_size=32, mode="mxfp4"),
        "mxfp4",
    ),
    "mlx-mxfp8": (
        tensors("L.weight U32 64x128, L.scales U8 64x16"),
        {"quantization": {"group_size": 32, "bits": 8, "mode": "mxfp8"}},
        "mxfp8",
    ),
    "mlx-nested": (affine(4), {"text_config": mlx()}, "mlx-affine-4bit"),
    "mlx-experts": (
        tensors("E.weight U32 2x32x64, E.scales BF16 2x32x8, E.biases BF16 2x32x8"),
        mlx(),
        "mlx-affine-4bit",
    ),
    "metal": (
        tensors("L.weight U32 64x64, L.scales BF16 64x4, L.qbiases BF16 64x4"),
        q("metal", bits=4, group_size=128),
        "metal-4bit",
    ),
    "gpt-oss": (MXFP4, q("mxfp4", modules_to_not_convert=["model.embed_tokens"]), "mxfp4"),
    "gpt-oss-mlx-of-transformers": (
        tensors("L.weight U32 64x64, L.scales U8 64x16"),
        q("mxfp4"),
        "mxfp4",
    ),
    "modelopt-nvfp4": (NVFP4, q("modelopt", quant_algo="NVFP4"), "modelopt-nvfp4"),
    "modelopt-without-method": (
        NVFP4,
        {"quantization_config": {"quant_algo": "NVFP4"}},
        "modelopt-nvfp4",
    ),
    "modelopt-experts": (
        tensors(
            "E.gate_up_proj U8 2x32x256, E.gate_up_proj_weight_scale F8_E4M3 2x32x32, "
            "E.gate_up_proj_weight_scale_2 F32 2, E.gate_up_proj_input_scale F32"
        ),
        q("modelopt", quant_algo="NVFP4"),
        "modelopt-nvfp4",
    ),
    "modelopt-awq": (
        tensors("L.weight U8 32x512, L.weight_scale BF16 64x4, L.pre_quant_scale BF16 512"),
        q("modelopt", quant_algo="W4A16_AWQ"),
        "modelopt-w4a16_awq",
    ),
    "modelopt-fp8": (
        tensors(
            "L.weight F8_E4M3 64x512, L.weight_scale F32, L.input_scale F32, "
            "model.layers.0.self_attn.k_proj.k_scale F32 1"
        ),
        q("modelopt", quant_algo="FP8"),
        "modelopt-fp8",
    ),
    "ct-nvfp4": (
        tensors(
            "L.weight_packed U8 64x256, L.weight_scale F8_E4M3 64x32, "
            "L.weight_global_scale F32 1, L.input_global_scale F32 1"
        ),
        ct((4, 16), format="nvfp4-pack-quantized"),
        "compressed-tensors-4bit",
    ),
    "ct-nested": (
        tensors("L.weight_packed I32 64x64, L.weight_scale BF16 64x16, L.weight_shape I64 2"),
        {"text_config": ct((4, 32))},
        "compressed-tensors-4bit",
    ),
    "ct-asymmetric": (
        tensors(
            "L.weight_packed I32 64x64, L.weight_scale BF16 64x16, "
            "L.weight_zero_point I32 8x16, L.weight_shape I64 2, L.weight_g_idx I32 512"
        ),
        ct((4, 32)),
        "compressed-tensors-4bit",
    ),
    "ct-3-bit-rows-that-end-in-a-word": (
        tensors("L.weight_packed I32 64x52, L.weight_scale BF16 64x4"),
        ct((3, 128)),
        "compressed-tensors-3bit",
    ),
    "ct-two-groups": (
        tensors("L.weight_packed I32 64x128, L.weight_scale BF16 64x4"),
        ct((4, 128), (8, 128)),
        "compressed-tensors",
    ),
    "ct-two-groups-asymmetric": (
        tensors(
            "L.weight_packed I32 64x128, L.weight_scale BF16 64x1, L.weight_zero_point I32 16x1"
        ),
        ct((4, None), (8, None)),
        "compressed-tensors",
    ),
    "ct-int8": (
        tensors("L.weight I8 64x512, L.weight_scale BF16 64x1"),
        ct((8, None), format="int-quantized"),
        "compressed-tensors-8bit",
    ),
    "ct-sparse": (
        tensors("L.bitmask U8 64x64, L.compressed BF16 9000, L.row_offsets I64 64, L.shape I64 2"),
        q("compressed-tensors", sparsity_config={"format": "sparse-bitmask"}),
        "compressed-tensors",
    ),
    "auto-round": (gptq(4), q("auto-round", bits=4, group_size=128), "auto-round-4bit"),
    "auto-round-intel": (gptq(2), q("intel/auto-round", bits=2), "intel/auto-round-2bit"),
    "auto-round-a-layer-of-its-own": (
        gptq(8, zeros=False),
        q("auto-round", bits=4, extra_config={L: {"bits": 8}}),
        "auto-round-4bit",
    ),
    **{f"gptq-{n}": (gptq(n), q("gptq", bits=n), f"gptq-{n}bit") for n in (2, 3, 4, 8)},
    "gptq-without-zeros": (gptq(3, zeros=False), q("gptq", bits=3), "gptq-3bit"),
    "gptq-other-bits-in-a-layer": (gptq(8), q("gptq", bits=4, dynamic={}), "gptq-4bit"),
    "gptq-marlin": (
        tensors("L.B I32 32x128, L.s F16 4x64, L.workspace I32 16"),
        q("gptq", bits=4, checkpoint_format="marlin"),
        "gptq-4bit",
    ),
    "bitblas": (
        tensors("L.qweight I8 64x256, L.scales F16 64x4, L.zeros F16 64x4"),
        q("bitblas", bits=4),
        "bitblas-4bit",
    ),
    "awq": (AWQ, q("awq", bits=4), "awq-4bit"),
    "awq-original-key": (AWQ, q("awq", w_bit=4, q_group_size=128), "awq-4bit"),
    "awq-gemv-fast": (
        tensors("L.qweight I16 16x512, L.scales F16 4x64, L.qzeros F16 4x64"),
        q("awq", bits=4),
        "awq-4bit",
    ),
    "bnb-nf4": (NF4, q("bitsandbytes", load_in_4bit=True), "bitsandbytes-4bit"),
    "bnb-without-method": (
        NF4,
        {"quantization_config": {"load_in_4bit": True}},
        "bitsandbytes-4bit",
    ),
    "bnb-fp4": (
        tensors(
            "L.weight U8 16384x1, L.weight.absmax F32 512, L.weight.quant_map F32 16, "
            "L.weight.quant_state.bitsandbytes__fp4 U8 80"
        ),
        q("bitsandbytes", load_in_4bit=True),
        "bitsandbytes-4bit",
    ),
    "bnb-experts": (
        tensors("E.gate_up_proj U8 16384x1, E.gate_up_proj.absmax F32 512"),
        q("bitsandbytes", load_in_4bit=True),
        "bitsandbytes-4bit",
    ),
    "bnb-int8": (
        tensors("L.weight I8 64x512, L.SCB F32 64, L.weight_format U8"),
        q("bitsandbytes", load_in_8bit=True),
        "bitsandbytes-8bit",
    ),
    "fp8-blocks": (
        tensors("L.weight F8_E4M3 64x512, L.weight_scale_inv F32 1x4"),
        q("fp8", weight_block_size=[128, 128]),
        "fp8",
    ),
    "fp8-fused-experts": (
        tensors("E.gate_up_proj F8_E4M3 2x32x512, E.gate_up_proj_scale_inv F32 2x1x4"),
        q("fp8"),
        "fp8",
    ),
    "fp8-e8m0-scales": (
        tensors("L.weight F8_E4M3 64x512, L.scale F8_E8M0 1x4"),
        q("fp8", scale_fmt="ue8m0"),
        "fp8",
    ),
    "fbgemm": (
        tensors("L.weight F8_E4M3 64x512, L.weight_scale F32 64x1, L.input_scale_ub F32 1"),
        q("fbgemm_fp8"),
        "fbgemm_fp8",
    ),
    "fp4-experts": (
        tensors("E.0.w1.weight I8 64x256, E.0.w1.scale F8_E8M0 64x16"),
        {**q("fp8", scale_fmt="ue8m0"), "expert_dtype": "fp4"},
        "fp8",
    ),
    "bitnet": (tensors("L.weight U8 16x512, L.weight_scale BF16 1"), q("bitnet"), "bitnet"),
    "eetq": (
        tensors("L.weight I8 512x64, L.weight_scales F16 64"),
        q("eetq", weights="int8"),
        "eetq-8bit",
    ),
    "eetq-other-name": (
        tensors("L.qweight I8 512x64, L.weight_scales F16 64"),
        q("eetq", weights="int8"),
        "eetq-8bit",
    ),
    "hqq-4": (
        tensors(
            "L.W_q U8 256x64, L.scale F16 512x1, L.zero F16 512x1, L.shape I64 2, "
            "L.nbits I32 1, L.packing U8 7, L.compute_dtype U8 13"
        ),
        q("hqq", quant_config={"weight_quant_params": {"nbits": 4, "group_size": 64}}),
        "hqq-4bit",
    ),
    "hqq-3": (
        tensors("L.W_q I32 52x64, L.scale F16 512x1"),
        q("hqq", quant_config={"weight_quant_params": {"nbits": 3, "group_size": 64}}),
        "hqq-3bit",
    ),
    "hqq-by-layer": (
        tensors("L.W_q U8 128x64, L.scale F16 512x1"),
        q(
            "hqq",
            quant_config={
                name: {"weight_quant_params": {"nbits": 2, "group_size": 64}}
                for name in ("mlp.up_proj", "mlp.down_proj")
            },
        ),
        "hqq-2bit",
    ),
    "aqlm": (
        tensors("L.codes I16 64x64x1, L.codebooks F16 1x65536x1x8, L.scales F16 64x1x1x1"),
        q(
            "aqlm",
            in_group_size=8,
            out_group_size=1,
            num_codebooks=1,
            nbits_per_codebook=16,
        ),
        "aqlm",
    ),
    "vptq": (
        tensors(
            "L.indices I32 1x8x400, L.centroids.weight BF16 1x65536 * 8, "
            "L.res_centroids.weight BF16 1x256 * 8, L.perm I16 512, "
            "L.weight_scale BF16 512, L.weight_bias BF16 512"
        ),
        q("vptq", config_for_layers={L: {"in_features": 512, "out_features": 64}}),
        "vptq",
    ),
    "exl2": (EXL2, q("exl2", bits=3.5), "exl2-3.5bit"),
    "exl2-without-config": (EXL2, {}, None),
    "exl3": (
        tensors("L.trellis I16 32x4x48, L.suh F16 512, L.svh F16 64, L.mcg I32"),
        q("exl3", bits=3.0),
        "exl3-3bit",
    ),
    "quanto-int4": (
        tensors(
            "L.weight._data._data U8 32x512, L.weight._scale BF16 256x1, "
            "L.weight._shift BF16 256x1, L.input_scale BF16, L.output_scale BF16"
        ),
        q("quanto", weights="int4"),
        "quanto-4bit",
    ),
    "quanto-int8": (
        tensors("L.weight._data I8 64x512, L.weight._scale BF16 64x1"),
        q("quanto", weights="int8"),
        "quanto-8bit",
    ),
    "quanto-int4-one-level": (
        tensors("L.weight._data U8 64x256, L.weight._scale BF16 64x4"),
        q("quanto", weights="int4"),
        "quanto-4bit",
    ),
    "quanto-float8": (
        tensors("L.weight._data F8_E4M3 64x512, L.weight._scale BF16 64x1"),
        q("quanto", weights="float8"),
        "quanto-8bit",
    ),
    "torchao-int4": (
        tensors(
            "L._weight_qdata U8 64x256, L._weight_scale BF16 4x64, L._weight_zero_point BF16 4x64"
        ),
        q("torchao", quant_type={"default": {"_type": "Int4WeightOnlyConfig", "_data": {}}}),
        "torchao-4bit",
    ),
    "torchao-float8": (
        tensors("L._weight_qdata F8_E4M3 64x512, L._weight_scale F32 64x1"),
        q(
            "torchao",
            quant_type={"default": {"_type": "Float8DynamicActivationFloat8WeightConfig"}},
        ),
        "torchao-8bit",
    ),
    "torchao-activations-and-weights-differ": (
        tensors("L._weight_qdata I8 64x256"),
        q("torchao", quant_type="int8_dynamic_activation_int4_weight"),
        "torchao-4bit",
    ),
    "quark-mxfp4": (
        tensors("L.weight U8 64x256, L.weight_scale U8 64x16"),
        q("quark", global_quant_config={"weight": {"dtype": "fp4"}}),
        "quark-4bit",
    ),
    "fp-quant": (
        tensors(
            "L.qweight U8 64x256, L.scales F8_E4M3 64x32, L.act_global_scale F32 1, "
            "L.forward_hadamard_matrix BF16 16x16"
        ),
        q("fp_quant", forward_dtype="nvfp4"),
        "fp_quant",
    ),
    "native-f4": (
        tensors("L.weight F4 64x512, L.weight_scale F8_E8M0 64x16"),
        {},
        None,
    ),
    "nf4-without-config": (NF4, {}, None),
    "nvfp4-without-config": (NVFP4, {}, None),
    "gptq-without-config": (gptq(4), {}, None),
    "a-statement-and-no-packed-tensor": (tensors("L.weight BF16 64x512"), q("awq"), "awq"),
}
