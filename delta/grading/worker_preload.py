"""Load Math-Verify and use it once: the process that workers of formulas are forked from does this.

Loading takes seconds, which count against no answer and are not paid again for the worker that
replaces a killed one. Nothing here may start a thread.
"""

import logging

from delta.grading import math

# Each parse without the library's own alarm is a warning; the worker's time limit replaces it.
logging.getLogger("math_verify").setLevel(logging.ERROR)
for grade in (math.grade, math.grade_as_math_verify):
    grade(r"\sqrt{2}", r"\boxed{\sqrt{3} + x}", "stop")
