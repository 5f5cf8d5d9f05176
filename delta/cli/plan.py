"""What `make repro` would run, ask and cost now. Runs nothing and writes nothing.

The card is the one that the hours and the memory are reckoned for; nothing asks the machine.
"""

import argparse
import os

os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from delta.check import check
from delta.cli import exit
from delta.plan import access, dvc_state, plan
from delta.plan.costs import Card


def main() -> None:
    parser = argparse.ArgumentParser(prog="make plan", description=__doc__.split("\n")[0])
    parser.add_argument("--card-gib", type=float, default=80, help="memory of one GPU (80)")
    parser.add_argument("--card-tflops", type=float, default=989, help="dense, 16 bits (989: H100)")
    given = parser.parse_args()
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    card = Card(given.card_gib, given.card_tflops)
    lines = plan(check(), dvc_state.stages, access.ask_hub, access.in_cache, offline, card)
    print("\n".join(lines))


def start() -> None:
    exit.run(main)
