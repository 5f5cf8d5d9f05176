"""Read the certificates that stage `certify` wrote."""

from delta.core import paths
from delta.core.files import read_json
from delta.core.types import Counts, Row

JUDGE, SECOND = "judge", "second"  # the raters, as the files of their votes are named


def read_certificates() -> dict[str, Counts]:
    """Return the certificate of each rater, the judge's first."""
    certificates: dict[str, Counts] = read_json(paths.counts("certify"), "certify")
    return certificates


def verdicts_of(certificates: dict[str, Counts]) -> dict[str, Row]:
    """Return the judge's `verdict` and `reason` by dimension: no delta uses another rater's votes.

    Verdicts are "sees", "cannot tell" and "blind" (delta.certificate.verdicts).
    """
    dimensions: dict[str, Row] = certificates[JUDGE]["dimensions"]
    return dimensions


def summarize(certificate: Counts) -> str:
    """Return which dimensions a rater sees, in one line."""
    by_verdict: dict[str, list[str]] = {}
    for name, row in certificate["dimensions"].items():
        by_verdict.setdefault(row["verdict"], []).append(name.replace("_", " "))
    parts = (f"{verdict}: {', '.join(names)}" for verdict, names in by_verdict.items())
    return f"{certificate['rater']} " + "; ".join(parts)
