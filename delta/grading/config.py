"""The parameters of grading (params.yaml: grading)."""

from typing import Annotated, Literal

from pydantic import Field

from delta.core.params import StrictModel


class CodeParams(StrictModel):
    """The sandbox and the limits of generated code (grading.code)."""

    sandbox: Literal["bubblewrap", "none"]
    timeout_s: Annotated[float, Field(gt=0)]  # wall-clock seconds for a test; CPU time too
    memory_mib: Annotated[int, Field(ge=64)]  # address space of one process
    processes: Annotated[int, Field(ge=1)]  # at once, threads included
    output_kib: Annotated[int, Field(ge=1)]  # output of a test
    file_mib: Annotated[int, Field(ge=1)]  # the scratch folder, and any one file


class GradingParams(StrictModel):
    """The section `grading` of params.yaml."""

    # local: one pool on this machine. ray: one pool for every `workers` processors of the Ray
    # cluster that this machine is in, or that $RAY_ADDRESS names.
    backend: Literal["local", "ray"]
    workers: Annotated[int, Field(ge=1)]  # of a pool
    # Wall-clock seconds for one answer, then its worker is killed. A program has the time of
    # worker_pool.MAX_TESTS tests in addition.
    timeout_s: Annotated[float, Field(gt=0)]
    max_ungradable: Annotated[float, Field(ge=0, le=1)]  # fraction; above it the stage fails
    # How the grader `math` finds the answer: the last box, or by Math-Verify (as in papers).
    extraction: Literal["last_box", "math_verify"]
    code: CodeParams
