"""Names of Python modules that a configuration may state without stating code of its own.

Read in the packages named below. A module that is not listed is one that the configuration has
imported, whatever it does.
"""

from typing import Final

__all__ = ["DIFFUSERS_LIBRARIES", "HARMLESS_CLASSES", "PEFT_LIBRARIES", "is_below"]

# diffusers 0.42.1: LOADABLE_CLASSES of pipelines/pipeline_loading_utils.py; flax: releases to 0.35.
_LOADABLE: Final = "diffusers transformers onnxruntime.training flax"
# diffusers 0.42.1: the modules of pipelines/ and of pipelines/deprecated/, which components name.
_PIPELINES: Final = """
    ace_step allegro alt_diffusion amused animatediff anyflow audio_diffusion audioldm audioldm2
    aura_flow blip_diffusion bria bria_fibo bria_fibo2 chroma chronoedit cogvideo cogview3 cogview4
    consisid consistency_models controlnet controlnet_hunyuandit controlnet_sd3 controlnet_xs cosmos
    dance_diffusion ddim ddpm deepfloyd_if deprecated diffusion_gemma dit dreamlite easyanimate
    ernie_image flux flux2 glm_image helios hidream_image hunyuan_image hunyuan_video
    hunyuan_video1_5 hunyuandit i2vgen_xl ideogram4 joyimage kandinsky kandinsky2_2 kandinsky3
    kandinsky5 kandinsky6 kolors krea2 latent_consistency_models latent_diffusion
    latent_diffusion_uncond latte ledits_pp llada2 longcat_audio_dit longcat_image ltx ltx2 lucy
    lumina lumina2 marigold mochi motif_video musicldm nucleusmoe_image omnigen onnx_utils
    ovis_image pag paint_by_example pia pixart_alpha pndm prx qwenimage qwenimage21 repaint
    rfd4_proteina sana sana_video sana_wm score_sde_ve semantic_stable_diffusion shap_e skyreels_v2
    spectrogram_diffusion stable_audio stable_audio_3 stable_cascade stable_diffusion
    stable_diffusion_3 stable_diffusion_attend_and_excite stable_diffusion_diffedit
    stable_diffusion_gligen stable_diffusion_k_diffusion stable_diffusion_ldm3d
    stable_diffusion_panorama stable_diffusion_safe stable_diffusion_sag stable_diffusion_variants
    stable_diffusion_xl stable_video_diffusion stochastic_karras_ve t2i_adapter
    text_to_video_synthesis unclip unidiffuser versatile_diffusion visualcloze vq_diffusion wan
    wuerstchen z_image
"""
DIFFUSERS_LIBRARIES: Final = frozenset(f"{_LOADABLE} {_PIPELINES}".split())
"""What the components of a pipeline name as their library."""
PEFT_LIBRARIES: Final = ("diffusers", "lerobot", "megatron-core", "megatron", "transformers")
"""Packages that peft imports because a configuration names them: get_default_import_allowlist of
auto.py, get_default_module_allowlist of tuners/lora/tp_layer.py (0.21.2)."""
HARMLESS_CLASSES: Final = ("torch.nn", "sentence_transformers")
"""Packages whose classes sentence-transformers 6.2.0 makes without consent, as far as they are
parts of a network."""


def is_below(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a dotted name is that of one of the packages, or of something in it."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)
