"""Codes of findings about what the files of a model state."""

from typing import Final

from prefect_mutagen.scanner.codes.code import Code

__all__ = ["CONTENT_CODES"]

CONTENT_CODES: Final = {
    "sbom/neighbour-invalid": Code(
        "error",
        "A file that loaders read beside the model (config.json and kin) cannot be read.",
        "Repair or fetch that file again; a model with a broken configuration does not load.",
    ),
    "sbom/unexamined": Code(
        "error",
        "A file beside the model was not read although a loader opens it, or it is larger or more "
        "involved than this tool examines, so what it states is not known. That says nothing "
        "against the file.",
        "Make it readable, or read it by hand and waive this finding if you accept what it says.",
    ),
    "sbom/neighbour-unread": Code(
        "warning",
        "A file beside the model could not be read, so what it states is missing. Where a loader "
        "opens it, or the policy has a rule about what it may state, the verdict is unknown.",
        "Check the permissions of the file, or the link that it is, and scan again.",
    ),
    "sbom/folder-unseen": Code(
        "warning",
        "Storage refuses every question about what lies beside the model, as for a signed address. "
        "Where the policy has a rule about it, the verdict is unknown.",
        "Grant access to the folder of the model (s3:ListBucket, or credentials for its files), or "
        "scan a copy.",
    ),
    "sbom/front-matter-invalid": Code(
        "warning",
        "The YAML block at the top of README.md cannot be read.",
        "Repair the block; licence and base model are taken from it.",
    ),
    "sbom/duplicate-key": Code(
        "warning",
        "A key appears twice in a file beside the model; the last one was used, or all of a "
        "licence or a base model.",
        "Remove one of the two.",
    ),
    "sbom/quantization-disagrees": Code(
        "warning",
        "general.file_type names a quantization that most of the tensors do not have.",
        "Trust the tensors; report it to the author of the file.",
    ),
    "sbom/quantization-unknown": Code(
        "info",
        "general.file_type is an unknown number; the quantization was taken from the tensors.",
        "No action is needed; forks of llama.cpp define additional numbers.",
    ),
    "gguf/no-weights": Code(
        "warning",
        "The file says that it is a model, and no tensor has an element.",
        "Convert or fetch the model again.",
    ),
    "safetensors/no-weights": Code(
        "warning",
        "The header is valid, and no tensor has an element: an error where a configuration beside "
        "the file promises weights.",
        "Save the model again. Under ZeRO-3, gather the weights first "
        "(stage3_gather_16bit_weights_on_model_save, or zero_to_fp32.py).",
    ),
    "safetensors/empty-weights": Code(
        "warning",
        "Some weights have no element: an error where a configuration beside the file promises "
        "weights, because loaders refuse their sizes.",
        "Save the model again. Under ZeRO-3, gather the weights first "
        "(stage3_gather_16bit_weights_on_model_save, or zero_to_fp32.py).",
    ),
    "safetensors/config-mismatch": Code(
        "error",
        "A weight has another shape than config.json describes; transformers refuses to load it.",
        "Use the config.json that was saved with these weights.",
    ),
    "safetensors/weights-missing": Code(
        "warning",
        "config.json describes weights that the file lacks; transformers starts them at random.",
        "Fetch the whole model, or use the config.json that was saved with these weights.",
    ),
    "safetensors/weights-unused": Code(
        "warning",
        "The file has layers that config.json does not describe; transformers leaves them out.",
        "Use the config.json that was saved with these weights.",
    ),
    "sbom/parameters-unknown": Code(
        "info",
        "The weights are packed in a way that this tool does not know; their number is unknown.",
        "Nothing to do; a policy with max_parameters refuses the model. Report the layout.",
    ),
    "sbom/shadowed-key": Code(
        "warning",
        "A metadata key of the file has a name that the SBOM reserves.",
        "The SBOM shows its own value; read the file for the other.",
    ),
    "sbom/license-unknown": Code(
        "info",
        "A licence is stated that is neither on the SPDX list nor a known model licence.",
        "Read it; allow or deny it in the policy by the name that the report shows. With "
        "allowed_licenses, only what is listed passes.",
    ),
    "sbom/license-conflict": Code(
        "warning",
        "Two sources state different licences for the same model; a policy needs both allowed.",
        "Ask the publisher which one applies, and correct the other.",
    ),
    "sbom/hash-mismatch": Code(
        "error",
        "Two sources state different SHA-256 values for the same object.",
        "Fetch the object again; find out which of the two was replaced.",
    ),
    "template/escape": Code(
        "error",
        "A chat template uses constructs that could run code in an unsandboxed renderer.",
        "Do not render it; take the template from the model's publisher and compare.",
    ),
    "template/undecided": Code(
        "warning",
        "A chat template selects an attribute by a name that its text does not decide.",
        "Read the line that is named, and waive this finding if it is harmless.",
    ),
    "template/invalid": Code(
        "warning",
        "A chat template is not valid Jinja; loaders that use Jinja cannot render it.",
        "Take the template from the model's publisher, or load the model with one of your own.",
    ),
    "template/unknown-shape": Code(
        "error",
        "A value of a shape that is not known stands where loaders take a chat template from.",
        "Write the template as a text, or as a list of objects with 'name' and 'template'.",
    ),
    "template/copies-differ": Code(
        "warning",
        "Files of a model state different chat templates; the loader decides which one is used.",
        "Compare them with the publisher's and remove the one that is out of date.",
    ),
    "template/unexamined": Code(
        "error",
        "A chat template was not read, or is beyond the limits within which this tool examines "
        "templates. That says nothing against it.",
        "Read it by hand, or load the model with a template of your own.",
    ),
}
