"""Codes of findings about storage, and about the scan itself."""

from typing import Final

from prefect_mutagen.scanner.codes.code import Code

__all__ = ["STORAGE_CODES"]

STORAGE_CODES: Final = {
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
    "storage/weak-pin": Code(
        "error",
        "Storage states neither a version nor a date of a file, so that a pin would be its size.",
        "Serve the files with ETag or Last-Modified, or verify them without a pin.",
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
    "storage/unexamined": Code(
        "error",
        "A folder of a web server has a larger page, or more folders, than this tool reads, so not "
        "all of its files are known. That says nothing against them.",
        "Scan its parts one by one, or a copy of it.",
    ),
    "storage/failed": Code(
        "error",
        "Storage answered with an error.",
        "Read the message; scan again if the error looks transient.",
    ),
    "scan/crashed": Code(
        "error",
        "Recorded by version 0.1: a failure of the scanner aborted the scan of this artifact.",
        "Scan again; what a scan cannot examine now keeps the state that it had.",
    ),
    "scan/manifest-unexamined": Code(
        "error",
        "A manifest of an Ollama store is larger than this tool reads; its model is not examined.",
        "Look at the manifest by hand; those of real models have at most a few megabytes.",
    ),
    "scan/internal-error": Code(
        "error",
        "The scanner itself failed on this artifact; nothing is known about it.",
        "Report the place that the message names; everything else is complete.",
    ),
}
