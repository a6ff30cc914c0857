"""Names that policies are written about: architectures, kinds of content and quantizations.

New ones appear every month and a policy may name them all the same. These serve to find what is
misspelt: an entry that differs from one of them by a slip would be without effect unnoticed.
Sources: ``MODEL_ARCH_NAMES`` of gguf-py, and the model types of transformers that differ.
"""

from typing import Final

from prefect_mutagen.parsers.ggml_types import FILE_TYPES, TENSOR_TYPES

__all__ = ["ARCHITECTURES", "QUANTIZATIONS", "TYPES"]

_OF_GGUF: Final = """
afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bert bitnet bloom chameleon
chatglm clip codeshell cogvlm cohere2 command-r dbrx deci deepseek deepseek2 deepseek2-ocr dots1
dream ernie4_5 ernie4_5-moe eurobert exaone exaone-moe exaone4 falcon falcon-h1 gemma gemma-
embedding gemma2 gemma3 gemma3n gemma4 glm-dsa glm4 glm4moe gpt-oss gpt2 gptj gptneox granite
granitehybrid granitemoe grok grovemoe hunyuan-dense hunyuan-moe hunyuan_vl internlm2 jais jais2
jamba jina-bert-v2 jina-bert-v3 kimi-linear lfm2 lfm2moe llada llada-moe llama llama-embed
llama4 maincoder mamba mamba2 mimo2 minicpm minicpm3 minimax-m2 mistral3 mistral4 modern-bert
mpt nemotron nemotron_h nemotron_h_moe neo-bert nomic-bert nomic-bert-moe olmo olmo2 olmoe
openelm orion paddleocr pangu-embedded phi2 phi3 phimoe plamo plamo2 plamo3 plm qwen qwen2
qwen2moe qwen2vl qwen3 qwen35 qwen35moe qwen3moe qwen3next qwen3vl qwen3vlmoe refact rnd1 rwkv6
rwkv6qwen2 rwkv7 seed_oss smallthinker smollm3 stablelm starcoder starcoder2 step35 t5 t5encoder
wavtokenizer-dec xverse
"""
_OF_TRANSFORMERS: Final = """
albert bart blenderbot blip blip-2 camembert cohere cohere2 convnext ctrl deberta deberta-v2
deepseek_v2 deepseek_v3 deit detr distilbert electra falcon_mamba florence2 fuyu git glm
gpt_bigcode gpt_neo gpt_neox gpt_oss gptj idefics idefics2 idefics3 internvl kosmos-2 layoutlm
llava llava_next longformer m2m_100 marian mbart minimax mistral mixtral mllama modernbert mt5
musicgen nllb-moe opt paligemma pegasus phi phi4_multimodal pixtral qwen2_5_vl qwen2_audio
qwen2_moe qwen2_vl qwen3_moe qwen3_next qwen3_vl recurrent_gemma rembert roberta roformer rwkv
sam segformer siglip siglip2 smolvlm speecht5 swin t5 timesformer umt5 vit vits wav2vec2 whisper
xglm xlm-roberta xlnet yolos zamba zamba2
"""
ARCHITECTURES: Final = frozenset((*_OF_GGUF.split(), *_OF_TRANSFORMERS.split()))
TYPES: Final = frozenset(
    ("adapter", "controlvector", "diffusion", "imatrix", "mmproj", "model", "vocabulary")
)
QUANTIZATIONS: Final = frozenset(
    (
        "none",
        *FILE_TYPES.values(),
        *(kind.name for kind in TENSOR_TYPES.values()),
        *("awq-4bit", "bitsandbytes-4bit", "bitsandbytes-8bit", "compressed-tensors", "fp8"),
        *("gptq-3bit", "gptq-4bit", "gptq-8bit", "mlx-affine-4bit", "mlx-affine-8bit"),
        *("modelopt-fp8", "modelopt-nvfp4", "mxfp4", "mxfp8", "nvfp4"),
    )
)
