"""Start processes as an ordinary user in tests run by root."""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers.import_closure import ROOT

NOBODY = 65_534
# Set explicitly, because the interpreter may be outside the virtual environment.
PACKAGES = ":".join([str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))])


def python_of_nobody() -> str:
    """Return an interpreter of this version that an ordinary user may run; skip without one."""
    if os.getuid() != 0:
        pytest.skip("only root can run this as another user")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        if python is None:
            continue
        with contextlib.suppress(OSError):
            tried = subprocess.run(
                [python, "-c", "import delta.grading.code_grader"],
                env={"PYTHONPATH": PACKAGES, "PYTHONDONTWRITEBYTECODE": "1"},
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                capture_output=True,
                check=False,
            )
            if tried.returncode == 0:
                return python
    pytest.skip("no interpreter that an ordinary user could run")
