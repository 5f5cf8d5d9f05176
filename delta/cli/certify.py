"""Print which dimensions the raters of the last run see. `dvc repro certify` tries them."""

import argparse

from delta.certificate.read import read_certificates
from delta.core import paths
from delta.core.errors import InputError
from delta.report.certificate import verdict_rows


def main(_options: argparse.Namespace) -> None:
    if not paths.counts("certify").is_file():
        raise InputError(f"{paths.counts('certify')}: no such file; run `dvc repro certify` first")
    for name, certificate in read_certificates().items():
        print(f"{name} ({certificate['rater']})")
        for row in verdict_rows(certificate):
            print(f"  {row['dimension']:<25}{row['verdict']:<13}{row['reason']}")
            for label, fall in row["falls"].items():
                if fall is not None:
                    print(f"  {'':<25}{fall} points further {label}")
