"""Print what `make repro` would run, request and cost now. Runs nothing and writes nothing.

Hours and memory are computed for the GPU that the options describe, not for this machine's.
"""

import argparse
import os

from delta.check import check
from delta.cli.command_line import positive
from delta.plan import availability, dvc_state
from delta.plan.costs import Gpu
from delta.plan.plan import plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gpu-gib", type=positive, default=80, help="memory of one GPU (80)")
    parser.add_argument(
        "--gpu-tflops", type=positive, default=989, help="dense, 16 bits (989: H100)"
    )


def main(options: argparse.Namespace) -> None:
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read by the import
    from huggingface_hub.constants import HF_HUB_OFFLINE

    gpu = Gpu(options.gpu_gib, options.gpu_tflops)
    hub = availability.ask_hub, availability.in_cache
    print("\n".join(plan(check(), dvc_state.read_stages, *hub, HF_HUB_OFFLINE, gpu)))
