"""One script per stage: read inputs, call one function of a room, write outputs and counts."""

import sys

from delta.core import console

sys.excepthook = console.explain_truncated_bytecode
console.check_threads()
