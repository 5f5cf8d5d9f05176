"""One script for each stage: read inputs, make one call, write outputs and counts."""

import sys

from delta.core import console

sys.excepthook = console.explain_truncated_bytecode
console.check_threads()
