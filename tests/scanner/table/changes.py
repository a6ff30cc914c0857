"""What drift means for agents, said of whole results; the flow says it of columns."""

from prefect_mutagen.scanner.results import ScanResult

__all__ = ["became_passed", "earlier_pin"]


def became_passed(result: ScanResult) -> bool:
    """Whether an artifact passes now but did not, or had another pin, in the previous scan."""
    new_verdict = any(change.field == "status" for change in result.drift_details)
    return result.passed and (result.drift != "unchanged" or new_verdict)


def earlier_pin(result: ScanResult) -> str:
    """Return the pin that an unchanged artifact had in the previous scan, if it had another."""
    if result.drift != "unchanged":
        return ""
    return next((one.before for one in result.drift_details if one.field == "pin"), "")
