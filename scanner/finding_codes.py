"""The codes of findings beyond those of headers: severity, meaning and remedy of each.

A code never changes its meaning and is never used again.
"""

from typing import Final, NamedTuple

from prefect_mutagen.parsers import Severity

__all__ = ["OWN_CODES", "Code"]


class Code(NamedTuple):
    """Definition of a finding code."""

    severity: Severity
    meaning: str
    remedy: str


OWN_CODES: Final = {
    "storage/not-found": Code(
        "error",
        "The object does not exist, or was deleted after it was listed.",
        "Scan again; if it comes back, look for what deletes it.",
    ),
    "storage/denied": Code(
        "error",
        "Storage denies access to the object.",
        "Give the scanner's identity the right to read it (s3:GetObject, or read permission).",
    ),
    "storage/credentials": Code(
        "error",
        "There are no credentials for the storage, or it does not accept them.",
        "Check the storage block, the profile or the environment variables.",
    ),
    "storage/archived": Code(
        "error",
        "The object lies in an archive class or tier and cannot be read before it is restored.",
        "Restore it (restore-object) and scan again when that has finished, or keep archived "
        "models out of the scanned root.",
    ),
    "storage/changed-during-scan": Code(
        "error",
        "The object was replaced while it was read, twice in a row.",
        "Scan again when nobody is writing to it.",
    ),
    "storage/other-pin": Code(
        "error",
        "The object is not the one that was pinned.",
        "Scan the object and decide again, or restore the pinned version.",
    ),
    "storage/timeout": Code(
        "error",
        "Storage did not answer in time.",
        "Scan again; lower the concurrency if it happens often.",
    ),
    "storage/throttled": Code(
        "error",
        "Storage asks to slow down.",
        "Scan again with less concurrency.",
    ),
    "storage/unreachable": Code(
        "error",
        "Storage cannot be reached.",
        "Check the address, the network and the endpoint_url option.",
    ),
    "storage/not-a-file": Code(
        "error",
        "The path is a device, a socket or a pipe, not a file.",
        "Remove it from the scanned root.",
    ),
    "storage/unfinished": Code(
        "error",
        "The download of this model is not finished, as a file beside it says; or only a part of "
        "it, or a placeholder for it, is there.",
        "Finish the download, or delete what is left of it; then scan again.",
    ),
    "storage/link-copied": Code(
        "error",
        "Only the text of a symbolic link was copied, not the model that it points to.",
        "Copy again with links followed (cp -L, rsync -L, rclone --copy-links).",
    ),
    "storage/size-unknown": Code(
        "error",
        "The server does not say how large the object is, so a complete file cannot be told from "
        "a truncated one.",
        "Serve it with a Content-Length or with range requests, or scan a local copy.",
    ),
    "storage/unsupported": Code(
        "error",
        "No driver for this kind of address is installed.",
        "Check the address; some kinds of storage need an extra package, such as gcsfs.",
    ),
    "storage/failed": Code(
        "error",
        "Storage answered with an error.",
        "Read the message; scan again if the error looks transient.",
    ),
    "scan/crashed": Code(
        "error",
        "The scan of this artifact was aborted by a failure of the scanner.",
        "Read the task run's log; it is a bug, or the machine it ran on was lost.",
    ),
    "scan/internal-error": Code(
        "error",
        "The scanner itself failed on this artifact; nothing is known about it.",
        "Report the place that the message names; everything else is complete.",
    ),
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
    "set/pickle-beside": Code(
        "warning",
        "Pickled weights lie beside the model; what loads the folder may load them and run code.",
        "Remove them, or make loaders take safetensors only.",
    ),
    "set/unfinished-beside": Code(
        "warning",
        "An unfinished download of the same file lies beside it: it may be an older version.",
        "Finish the download, or delete what is left of it; then scan again.",
    ),
    "sbom/neighbour-invalid": Code(
        "error",
        "A file that loaders read beside the model (config.json and kin) cannot be read.",
        "Repair or fetch that file again; a model with a broken configuration does not load.",
    ),
    "sbom/unexamined": Code(
        "error",
        "A file beside the model is larger or more involved than this tool examines, so what it "
        "states is not known. That says nothing against the file.",
        "Read the file by hand, and waive this finding if you accept what it says.",
    ),
    "sbom/neighbour-unread": Code(
        "warning",
        "A file beside the model could not be fetched, so what it states is missing.",
        "Check the permissions of the file, and scan again.",
    ),
    "sbom/front-matter-invalid": Code(
        "warning",
        "The YAML block at the top of README.md cannot be read.",
        "Repair the block; licence and base model are taken from it.",
    ),
    "sbom/duplicate-key": Code(
        "warning",
        "A key appears twice in a file beside the model; the last one was used.",
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
    "template/unexamined": Code(
        "error",
        "A chat template is too long to be examined.",
        "Read it by hand, or load the model with a template of your own.",
    ),
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
        "A file that describes the model is not among those that its signer signed as a whole: it "
        "was added or changed later.",
        "Fetch the model again, remove the file, or have the model signed anew.",
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
    "policy/format": Code("error", "The policy does not allow this format.", "Convert it."),
    "policy/architecture": Code(
        "error", "The policy does not allow this architecture.", "Choose another model."
    ),
    "policy/quantization": Code(
        "error", "The policy does not allow this quantization.", "Choose another file."
    ),
    "policy/license": Code(
        "error", "The policy does not allow this licence.", "Choose a model you may use."
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
        "error", "The model has more parameters than the policy allows.", "Choose a smaller one."
    ),
    "policy/sha256-missing": Code(
        "error", "The policy asks for a SHA-256 and none is known.", "Scan with --hash full."
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
    "policy/signature-missing": Code(
        "error",
        "The policy asks for a signature or an attestation, and none beside the artifact names it.",
        "Sign the model (model.sig), or lay its attestation beside it.",
    ),
    "policy/signer": Code(
        "error",
        "None of the signers whom the policy allows has signed all files of the artifact.",
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
