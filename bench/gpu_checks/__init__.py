"""The checks of bench/gpu_smoke.py, by what they need: a GPU, a disk, vLLM."""
