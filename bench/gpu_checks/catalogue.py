"""All checks, with what is expected of each, and the groups in which they run."""

from bench.gpu_checks.check import Bounds, Check
from bench.gpu_checks.process import Group

POSITIVE = Bounds(low=1e-9)  # of a CPU, whose speed says nothing about a GPU's

CHECKS = {
    "driver": Check("major version of NVIDIA's driver", "version", Bounds(low=580)),
    "triton_compiles": Check(
        "torch.compile by Triton, which needs a C compiler and Python's headers",
        "1 or 0",
        Bounds(low=1, high=1),
    ),
    "sandbox": Check("a program runs in the sandbox", "1 or 0", Bounds(low=1, high=1)),
    "flash_attention": Check(
        "calls of attention in padding-free training that a flash kernel computes",
        "fraction",
        Bounds(low=1, high=1),
    ),
    "attention_memory_growth": Check(
        "log2 of the memory of twice the length over that of once; 1 is linear, 2 quadratic",
        "exponent",
        Bounds(low=0.7, high=1.1),
    ),
    "reference_pass_tensors_left": Check(
        "tensors of this process after the reference pass, over the bytes of the model",
        "fraction",
        Bounds(high=0.01),
    ),
    "reference_pass_gpu_left": Check(
        "memory in use on the GPU after the reference pass, less that before it",
        "GiB",
        Bounds(high=1),
    ),
    "batch_noise_bfloat16": Check(
        "largest difference of a sequence's log-probability, alone and beside three others",
        "nats",
        Bounds(high=0.5),
    ),
    "batch_noise_float32": Check(
        "the same in float32",
        "nats",
        Bounds(high=0.01),
    ),
    "first_margin": Check(
        "standard deviation over pairs of the margin before the first update",
        "nats",
        Bounds(high=0.5),
    ),
    "update_in_float32": Check(
        "weights that training at 5e-8 changes, in float32",
        "fraction",
        Bounds(low=0.9, high=1),
    ),
    "update_in_bfloat16": Check(
        "projection of the update that a bfloat16 server would have on that of float32",
        "fraction",
        Bounds(low=0, high=0.1),
    ),
    "fsdp2_gradient_in_no_sync": Check(
        "gradient that FSDP2 keeps unsharded between the batches of a step, in no_sync",
        "fraction",
        Bounds(low=0.99, high=1.01),
    ),
    "fsdp2_gradient": Check(
        "the same as this project trains",
        "fraction",
        Bounds(high=0),
    ),
    "matmul_share_of_peak": Check(
        "rate of a product of bfloat16 matrices over the data sheet's",
        "fraction",
        Bounds(low=0.5, high=1.1),
    ),
    "step_seconds": Check(
        "one DPO step of 4 x 8,192 tokens at the width of 8B, with as many layers as fit",
        "s",
        Bounds(high=30),
    ),
    "step_memory_against_plan": Check(
        "peak memory of that step over the one that `make plan` computes",
        "ratio",
        Bounds(low=0.85, high=1.15),
    ),
    "step_share_of_peak": Check(
        "FLOP of a layer, with recomputing, over its seconds and the GPU's bfloat16 peak",
        "fraction",
        Bounds(low=0.4, high=1),
        on_cpu=POSITIVE,
    ),
    "disk_write": Check("writing files of weights, synced", "GB/s", Bounds(low=1), POSITIVE),
    "disk_read": Check("reading them from the disk", "GB/s", Bounds(low=1), POSITIVE),
    "sha256": Check("delta.core.fingerprint of the folder", "GB/s", Bounds(low=0.4), POSITIVE),
    "checkpoint_checksums": Check(
        "the mark of a complete checkpoint", "GB/s", Bounds(low=0.5), POSITIVE
    ),
    "dvc_md5": Check("DVC's hash of the files, one thread", "GB/s", Bounds(low=0.3), POSITIVE),
    "engine_start": Check("start of vLLM with a model of 1B", "s", Bounds(high=120)),
    "batched_tokens": Check(
        "tokens that vLLM's scheduler takes in one step",
        "tokens",
        Bounds(low=16_384, high=16_384),
        on_cpu=Bounds(low=2_048),
    ),
    "writing_against_plan": Check(
        "tokens a second of stage generate, by a model of 1B, over those of `make plan`",
        "ratio",
        Bounds(low=0.75, high=2),
        on_cpu=POSITIVE,
    ),
    "reading_share_of_peak": Check(
        "2 FLOP a weight and token of prompts, over seconds and the GPU's bfloat16 peak",
        "fraction",
        Bounds(low=0.3, high=1),
    ),
    "generate_against_llm": Check(
        "tokens a second of stage generate over those of one LLM.generate",
        "ratio",
        Bounds(low=0.97),
        on_cpu=POSITIVE,
    ),
    "float32_serving": Check(
        "replies of a float32 engine, greedy, that are Transformers' token by token",
        "fraction",
        Bounds(low=0.85, high=1),
    ),
    "float32_writing_against_plan": Check(
        "the same in float32", "ratio", Bounds(low=0.75, high=2), POSITIVE
    ),
    "judge_grammar": Check(
        "ended replies of a tiny gpt-oss whose final channel is JSON of the schema",
        "fraction",
        Bounds(low=1, high=1),
    ),
}

_HERE = "bench.gpu_checks"
GROUPS = {
    "machine": Group(f"{_HERE}.machine:run", ("driver", "triton_compiles", "sandbox"), 60),
    "attention": Group(
        f"{_HERE}.attention:run", ("flash_attention", "attention_memory_growth"), 90
    ),
    "reference": Group(
        f"{_HERE}.reference:run", ("reference_pass_tensors_left", "reference_pass_gpu_left"), 90
    ),
    "batch_noise": Group(
        f"{_HERE}.precision:batch_noise", ("batch_noise_bfloat16", "batch_noise_float32"), 60
    ),
    "first_margin": Group(f"{_HERE}.precision:first_margin", ("first_margin",), 120),
    "update": Group(f"{_HERE}.precision:update", ("update_in_float32", "update_in_bfloat16"), 60),
    "training_step": Group(
        f"{_HERE}.training_step:run",
        ("matmul_share_of_peak", "step_seconds", "step_memory_against_plan", "step_share_of_peak"),
        150,
    ),
    "sharding": Group(f"{_HERE}.sharding:run", ("fsdp2_gradient_in_no_sync", "fsdp2_gradient"), 60),
    "disk": Group(
        f"{_HERE}.disk:run",
        ("disk_write", "disk_read", "sha256", "checkpoint_checksums", "dvc_md5"),
        120,
    ),
    "generate": Group(
        f"{_HERE}.serving:generate",
        ("engine_start", "batched_tokens", "writing_against_plan", "reading_share_of_peak"),
        200,
    ),
    "llm_generate": Group(f"{_HERE}.serving:llm_generate", ("generate_against_llm",), 150),
    "float32": Group(
        f"{_HERE}.serving:float32", ("float32_serving", "float32_writing_against_plan"), 120
    ),
    "judge_grammar": Group(f"{_HERE}.serving:judge_grammar", ("judge_grammar",), 90),
}
