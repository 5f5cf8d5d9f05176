"""One script a stage: parameters, inputs, one call, outputs, counts."""

import os
import sys

# Python 3.11 keeps bytecode that a full disk has cut short, and no later run can import it. To
# compile the code of a stage anew takes a tenth of a second. The variable is for its processes.
sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

from delta import console  # noqa: E402 - no bytecode of it either

console.check_threads()
