"""Settings of a small model and of its engine, valid for tests that load no weights."""

from delta.inference.config import ServingParams, VllmParams

SERVING = ServingParams(
    chat_format="plain",
    dtype="float32",
    max_model_len=2048,
    max_num_seqs=2,
    tensor_parallel_size=1,
    trust_remote_code=False,
)
VLLM = VllmParams(
    kv_cache_memory_bytes=2**30,
    gpu_memory_utilization=None,
    enforce_eager=True,
    enable_chunked_prefill=False,
    block_size=None,
)
