"""Print the scores of the last run and where its pictures are; `make repro` ends here."""

from delta import cli, outputs
from delta.errors import InputError


def main() -> None:
    if not outputs.SCORES.is_file():
        raise InputError(f"{outputs.SCORES}: no such file; run `make repro` first")
    print(outputs.SCORES.read_text(encoding="utf-8"))
    print("Pictures:")
    for picture in sorted(outputs.REPORT.glob("*.svg")):
        print(f"  {picture.resolve()}")


if __name__ == "__main__":
    cli.run(main)
