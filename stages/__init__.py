"""One script a stage: parameters, inputs, one call, outputs, counts."""

import sys

from delta.core import console

sys.excepthook = console.explain_cut_bytecode
console.check_threads()
