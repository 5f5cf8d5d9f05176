"""What `make repro` would run, ask and cost now. Runs nothing and writes nothing.

The card is the one that the hours and the memory are reckoned for; nothing asks the machine.
"""

import argparse
import os

os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from delta.check import check
from delta.cli import command_line
from delta.plan import dvc_state, plan, resources
from delta.plan.costs import Gpu


def main() -> None:
    parser = argparse.ArgumentParser(prog="make plan", description=__doc__.split("\n")[0])
    parser.add_argument("--gpu-gib", type=float, default=80, help="memory of one GPU (80)")
    parser.add_argument("--gpu-tflops", type=float, default=989, help="dense, 16 bits (989: H100)")
    given = parser.parse_args()
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    gpu = Gpu(given.gpu_gib, given.gpu_tflops)
    read_stages, ask_hub, in_cache = dvc_state.read_stages, resources.ask_hub, resources.in_cache
    lines = plan(check(), read_stages, ask_hub, in_cache, offline, gpu)
    print("\n".join(lines))


def start() -> None:
    command_line.run(main)
