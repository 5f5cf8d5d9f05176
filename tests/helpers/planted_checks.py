"""Checks for bench/gpu_smoke.py that must fail: each has a fault that a GPU could have."""

import importlib
import os
import time
from collections.abc import Iterator

from bench.gpu_checks.check import Measurement, Setting, SkippedError


def padded_batches(setting: Setting) -> Iterator[Measurement]:
    """Run the checks of attention on a model that takes padded batches with a mask."""
    from bench.gpu_checks import attention
    from delta.training import padding_free

    def refuse(model: object) -> bool:  # noqa: ARG001
        return False

    padding_free.enable_padding_free = refuse  # only in this process
    yield from attention.run(setting)


def slow_disk(_: Setting) -> Iterator[Measurement]:
    yield Measurement("disk_write", 0.0)
    yield Measurement("disk_read", float("nan"))


def error(_: Setting) -> Iterator[Measurement]:
    yield Measurement("disk_write", 1.0)
    raise RuntimeError("CUDA error: an illegal memory access\nwas encountered")


def dead_process(_: Setting) -> Iterator[Measurement]:
    yield Measurement("disk_write", 1.0)
    os._exit(7)


def endless(_: Setting) -> Iterator[Measurement]:
    yield Measurement("disk_write", 1.0)
    time.sleep(600)


def forgotten(_: Setting) -> Iterator[Measurement]:
    yield Measurement("disk_write", 1.0)


def missing_package(_: Setting) -> Iterator[Measurement]:
    yield Measurement("disk_write", 1.0)
    importlib.import_module("trl_of_another_machine")


def impossible(_: Setting) -> Iterator[Measurement]:
    yield Measurement("disk_write", 1.0)
    raise SkippedError("needs a GPU")
