"""Codes of findings about sets of shards and what else lies beside a model."""

from typing import Final

from prefect_mutagen.scanner.codes.code import Code

__all__ = ["SET_CODES"]

SET_CODES: Final = {
    "set/missing-shard": Code(
        "error",
        "A shard of the model is missing; loaders may continue with uninitialised weights.",
        "Fetch the missing file; the model is not complete without it.",
    ),
    "set/index-mismatch": Code(
        "error",
        "The index and a shard disagree about which tensors the shard holds.",
        "Fetch index and shards again, all of one revision.",
    ),
    "set/index-invalid": Code(
        "error",
        "The index that says which shard holds which tensor cannot be read or is not one.",
        "Fetch the index again; without it the shards do not load as one model.",
    ),
    "set/index-missing": Code(
        "warning",
        "The safetensors shards have no index; most loaders need one.",
        "Fetch the index, or leave it if your loader takes all files of the folder.",
    ),
    "set/duplicate-tensor": Code(
        "error",
        "Two shards hold a tensor of the same name.",
        "Find out which one is right; shards of two revisions may be mixed.",
    ),
    "set/total-size": Code(
        "warning",
        "The total size that the index states is not that of the tensors.",
        "Compare with the publisher's index; some writers count shared tensors twice.",
    ),
    "set/split-mismatch": Code(
        "error",
        "A shard's metadata disagrees with its name, or with the set, about its position.",
        "Fetch the shards again, all of one revision, and keep their names.",
    ),
    "set/unnamed-shard": Code(
        "warning",
        "A file looks like a shard of the model, and its index does not name it.",
        "Remove it if it is a leftover; some loaders read every file of the folder.",
    ),
    "set/shards-disagree": Code(
        "warning",
        "Shards of one model state different things about it.",
        "Find out whether they belong together.",
    ),
    "set/split-name": Code(
        "error",
        "The shards of a GGUF set are not named as llama.cpp expects; it does not find the others.",
        "Rename the shards with five digits: NAME-00001-of-00002.gguf.",
    ),
    "set/ambiguous-weights": Code(
        "warning",
        "The folder has other weights that a loader may take instead of these, or merge with them.",
        "Keep the weights that you mean, and move the others to a folder of their own.",
    ),
    "set/variant-beside": Code(
        "info",
        "The folder has another variant of these weights, which is loaded where it is asked for.",
        "Scan its result as well if you load that variant.",
    ),
    "set/unexamined": Code(
        "error",
        "A set is larger than this tool examines; that says nothing about the files.",
        "Check it with the loader itself, and waive this finding if you trust the model.",
    ),
    "set/missing-layer": Code(
        "error",
        "A blob that a manifest of an Ollama store or an OCI layout names is not there.",
        "Pull the model again, or remove it; Ollama cannot load it.",
    ),
    "set/layer-size": Code(
        "error",
        "A blob of an Ollama store or an OCI layout has another size than its manifest states.",
        "Pull the model again; the blob was cut or replaced.",
    ),
    "set/layer-unexamined": Code(
        "error",
        "A layer of an OCI manifest is not read: weights in an archive, a configuration, code.",
        "Unpack the model and scan its files, or push it with raw layers.",
    ),
    "set/manifest-invalid": Code(
        "error",
        "A manifest of an Ollama store or an OCI layout cannot be read, or names what is no blob.",
        "Pull the model again, or remove the manifest; Ollama passes over it.",
    ),
    "set/missing-part": Code(
        "error",
        "A part that the pipeline names has no weights, or a file of it is missing; it does not "
        "load.",
        "Fetch the missing part from the model's publisher, of the same revision.",
    ),
    "set/incomplete-load": Code(
        "warning",
        "A loader asks for a file that is not there, and fails without it.",
        "Fetch the missing file, or remove the configuration that names it.",
    ),
    "set/outside-model": Code(
        "error",
        "An index or a configuration names a file outside of the model's folder.",
        "Do not load the model; no tool writes such a name.",
    ),
    "set/mixed-variants": Code(
        "warning",
        "The parts of the pipeline exist in different variants only, which are loaded together.",
        "Fetch all parts in one variant, or none of the variants.",
    ),
    "set/pickle-beside": Code(
        "warning",
        "Pickled weights, or weights in a format that is not read, lie beside the model; what "
        "loads the folder may load them and run code.",
        "Remove them, or make loaders take safetensors only.",
    ),
    "pickle/beside": Code(
        "warning",
        "A pickle or other weights beside the model, which no loader of it takes, would run code, "
        "or cannot be followed; the message names what.",
        "Do not load that file; remove it, or move it out of the model's folder.",
    ),
    "weights/named-only": Code(
        "warning",
        "Weights in a format that is named and whose content is not judged. The policy's "
        "unexamined_weights decides: alone (unknown where nothing else of the model is examined), "
        "fail, warn or allow.",
        "Convert them to safetensors or GGUF; or choose what the policy says about them.",
    ),
    "set/unfinished-beside": Code(
        "warning",
        "An unfinished download of the same file lies beside it: it may be an older version.",
        "Finish the download, or delete what is left of it; then scan again.",
    ),
}
