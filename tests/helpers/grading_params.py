"""The parameters of grading for tests: two workers of this machine, short limits."""

from delta.grading.config import CodeParams, GradingParams

CODE = CodeParams(
    sandbox="bubblewrap", timeout_s=5.0, memory_mib=512, processes=8, output_kib=64, file_mib=1
)
PARAMS = GradingParams(
    backend="local", workers=2, timeout_s=5.0, max_ungradable=0.5, extraction="last_box", code=CODE
)
