"""Print the scores of the last run and where its pictures are; `make repro` ends here."""

import sys

from delta import outputs

if __name__ == "__main__":
    if not outputs.SCORES.is_file():
        sys.exit(f"{outputs.SCORES}: no such file; run `make repro` first")
    print(outputs.SCORES.read_text(encoding="utf-8"))
    print("Pictures:")
    for picture in sorted(outputs.REPORT.glob("*.svg")):
        print(f"  {picture.resolve()}")
