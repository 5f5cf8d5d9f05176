"""Print what `make repro` would run, request and cost now. Runs nothing and writes nothing.

Hours and memory are computed for the GPUs that the options describe, by default this machine's.
Where it has none, for an H100, or the usual GPU of the memory that --gpu-gib names. Where its kind
is not known, with its memory and the speed of the usual GPU of that memory.
"""

import argparse
import os

from delta.check import check
from delta.cli.command_line import positive
from delta.core import paths
from delta.core.errors import InputError
from delta.core.params import read_all
from delta.plan import availability, dvc_state, machine
from delta.plan.plan import GpuNode, plan
from delta.plan.power import replicates
from delta.plan.speeds import GPUS, gpu_named, gpu_of_size, name_of_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = [name.replace(" ", "-") for name in GPUS]
    parser.add_argument(
        "--gpu", choices=names, metavar="NAME", help=f"of the node: {', '.join(names)}"
    )
    parser.add_argument("--gpu-gib", type=positive, help="memory of one GPU")
    parser.add_argument("--gpu-tflops", type=positive, help="dense, 16 bits (989: H100)")
    parser.add_argument(
        "--gpus", type=int, metavar="N", help="of the node; by default what the profile asks for"
    )


def node_of(options: argparse.Namespace) -> GpuNode:
    """Return the GPUs of the options, else those of this machine, else an H100."""
    if options.gpu or options.gpu_gib:
        name = options.gpu.replace("-", " ") if options.gpu else name_of_size(options.gpu_gib)
        node = GpuNode(GPUS[name], name=name, note="assumed")
    else:
        node = _node_here()
    gpu = node.gpu
    if options.gpu_gib:
        gpu = gpu._replace(gib=options.gpu_gib)
    if options.gpu_tflops:
        gpu = gpu._replace(tflops=options.gpu_tflops)
    return node._replace(gpu=gpu, number=options.gpus)


def _node_here() -> GpuNode:
    """Return the first GPU of this machine; an H100 where there is none of known memory."""
    try:
        gpus = machine.read_gpus()
    except InputError:
        gpus = []
    if not gpus:
        return GpuNode(GPUS["H100"], name="H100", note="assumed; this machine has none")
    name, gib = gpus[0].name, gpus[0].gib
    if gib is None:
        note = f"assumed; the memory of {name} is not reported: --gpu-gib"
        return GpuNode(GPUS["H100"], name="H100", note=note)
    if (known := gpu_named(name, gib)) is not None:
        return GpuNode(known, is_here=True, name=name)
    note = f"speed not known, taken as that of {name_of_size(gib)}"
    return GpuNode(gpu_of_size(gib), is_here=True, name=name, note=note)


def main(options: argparse.Namespace) -> None:
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read by the import
    from huggingface_hub.constants import HF_HUB_OFFLINE

    hub = availability.ask_hub, availability.in_cache
    params = check()
    measured = list(replicates(read_all(), params.experiments, paths.RUNS))
    lines = plan(params, dvc_state.read_stages, *hub, HF_HUB_OFFLINE, node_of(options), measured)
    print("\n".join(lines))
