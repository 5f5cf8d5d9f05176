"""Load Math-Verify and use it once, in the forkserver from which workers are forked.

Loading takes seconds. This way it counts against no answer's time limit, and the worker that
replaces a killed one starts at once. Nothing here may start a thread.
"""

import logging

from delta.grading import math_grader

# The library warns at each parse without its timeout; the worker's time limit replaces it.
logging.getLogger("math_verify").setLevel(logging.ERROR)
for grade in (math_grader.grade, math_grader.grade_as_math_verify):
    grade(r"\sqrt{2}", r"\boxed{\sqrt{3} + x}", "stop")
