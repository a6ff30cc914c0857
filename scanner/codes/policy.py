"""Codes of signatures, and of the reasons of a verdict."""

from typing import Final

from prefect_mutagen.scanner.codes.code import Code

__all__ = ["POLICY_CODES"]

POLICY_CODES: Final = {
    "signature/mismatch": Code(
        "error",
        "A signature or an attestation beside the model names another SHA-256 for it.",
        "Do not use it: fetch the model and its signature again from their publisher.",
    ),
    "signature/unreadable": Code(
        "warning",
        "A signature or an attestation beside the model cannot be read.",
        "Fetch it again; nothing is known from it.",
    ),
    "signature/invalid": Code(
        "error",
        "A signature beside the model does not verify: it was not made over what it lies around, "
        "or its certificate is not valid.",
        "Do not use the model: fetch it and its signature again from their publisher.",
    ),
    "signature/unknown-signer": Code(
        "warning",
        "A signature beside the model was made by none of the signers whom the policy allows.",
        "Ask who signed it; add the key, certificate or identity to allowed_signers if you trust "
        "it.",
    ),
    "signature/unbound": Code(
        "warning",
        "A genuine signature names the model's files, but their bytes were not hashed, so that "
        "nothing ties the one to the other. What a file beside them states does not count.",
        "Scan with --hash full, or lookup where storage keeps SHA-256 values; verify does so by "
        "itself.",
    ),
    "signature/unsigned-file": Code(
        "error",
        "A file that describes the model, that a loader takes with it, or that could run, is not "
        "among those that were signed with it.",
        "Fetch the model again, remove the file, or have the model signed anew.",
    ),
    "signature/missing-file": Code(
        "error",
        "A file that was signed together with the model is not there.",
        "Fetch the model again, or have it signed anew without the file.",
    ),
    "signature/unexamined": Code(
        "error",
        "A signature beside the model, or what it covers, was not examined: storage refused it, or "
        "a limit of this tool was reached.",
        "See the message: make the files readable, or lay fewer into the folder.",
    ),
    "signature/verified": Code(
        "info",
        "One of the signers whom the policy allows has signed the model, and its files have the "
        "digests that were signed.",
        "Nothing to do.",
    ),
    "signature/unverified": Code(
        "info",
        "A signature or an attestation lies beside the model; only its digests were compared.",
        "Name who has to have signed in the policy's allowed_signers, and it is verified.",
    ),
    "policy/unexamined-weights": Code(
        "error",
        "The policy refuses weights in formats whose content is not judged.",
        "Convert them to safetensors or GGUF, remove them from the model, or change the policy's "
        "unexamined_weights.",
    ),
    "policy/format": Code("error", "The policy does not allow this format.", "Convert it."),
    "policy/type": Code(
        "error",
        "The policy does not allow this kind of content, such as an adapter or an imatrix.",
        "Choose a file of an allowed kind.",
    ),
    "policy/architecture": Code(
        "error", "The policy does not allow this architecture.", "Choose another model."
    ),
    "policy/quantization": Code(
        "error", "The policy does not allow this quantization.", "Choose another file."
    ),
    "policy/license": Code(
        "error", "The policy does not allow this licence.", "Choose a model you may use."
    ),
    "policy/signature-unexamined": Code(
        "error",
        "The policy asks for a signature, and one beside the model could not be read. That says "
        "nothing against the model.",
        "Make the file readable (its permissions, the link that it is), and scan again.",
    ),
    "policy/folder-unexamined": Code(
        "error",
        "The policy has a rule about what lies beside a model, and none of it could be looked at. "
        "That says nothing against the model.",
        "Grant access to the folder of the model, or scan a copy.",
    ),
    "policy/license-unexamined": Code(
        "error",
        "The policy has a rule about licences, and a file that may state one could not be read. "
        "That says nothing against the model.",
        "Make the file readable (its permissions, the link it is, its front matter), and scan "
        "again.",
    ),
    "policy/license-missing": Code(
        "error",
        "The policy asks for a licence and none is stated.",
        "State it in README.md or in the file's metadata.",
    ),
    "policy/base-license": Code(
        "error",
        "The policy does not allow the licence of a model that this one was made from.",
        "Choose a model whose lineage you may use.",
    ),
    "policy/size": Code(
        "error", "The artifact is larger than the policy allows.", "Choose a smaller one."
    ),
    "policy/parameters": Code(
        "error",
        "The model has more parameters than the policy allows.",
        "Choose a smaller one.",
    ),
    "policy/sha256-missing": Code(
        "error",
        "The policy asks for a SHA-256, and none was computed here or proven by the storage.",
        "Scan with --hash full.",
    ),
    "policy/source": Code(
        "error",
        "The artifact lies below none of the addresses that the policy allows.",
        "Use a copy at an allowed address, or ask the owner of one to publish it there.",
    ),
    "policy/publisher": Code(
        "error",
        "The policy does not allow models of this publisher, or none is stated.",
        "Take the model from an allowed publisher.",
    ),
    "policy/template": Code(
        "error",
        "The policy lists the chat templates that may be used; this one is not listed.",
        "Read the template; allow it by its SHA-256, or load the model with an allowed one.",
    ),
    "policy/remote-code": Code(
        "error",
        "Loading the model runs code that the policy does not allow.",
        "Read the code; allow each module by its SHA-256 (remote_code: pinned), or choose a model "
        "that needs none. Code that is not among the model's files cannot be pinned.",
    ),
    "policy/signature-missing": Code(
        "error",
        "The policy asks for a signature or an attestation, and none beside the artifact names it.",
        "Sign the model (model.sig), or lay its attestation beside it.",
    ),
    "policy/signer": Code(
        "error",
        "None of the signers whom the policy allows has signed all files of the artifact in one "
        "statement.",
        "Have the model signed (model.sig); the signature/ findings say what is wrong with a "
        "signature that is there.",
    ),
    "policy/scan-age": Code(
        "error",
        "The artifact was examined longer ago than the policy allows.",
        "Scan again; results that are too old are not reused.",
    ),
    "policy/waiver-expired": Code(
        "error",
        "A waiver that covered this artifact has expired.",
        "Fix what was waived, or have its owner renew the waiver.",
    ),
    "policy/warning": Code(
        "error", "The policy counts warnings as failures.", "Look at the warning."
    ),
}
