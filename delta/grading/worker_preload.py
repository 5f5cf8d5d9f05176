"""Math-Verify, loaded and used once: what a worker that grades formulas is forked with.

Loading takes seconds, which neither count against an answer nor are paid again for the worker that
takes the place of a killed one. Nothing here may start a thread.
"""

import logging
import sys

# With gmpy2 some answers ((10^8)!, huge binomials) never let go of the processor.
sys.modules["gmpy2"] = None  # type: ignore[assignment]  # an import of it now fails

from delta.grading import math, math_verify_fast  # noqa: E402

# Every parse without Math-Verify's own alarm is a warning; the hard kill is our limit.
logging.getLogger("math_verify").setLevel(logging.ERROR)
math_verify_fast.parse_in_two_stages()
math_verify_fast.keep_sympys_names()
for grade in (math.grade, math.grade_as_math_verify):
    grade(r"\sqrt{2}", r"\boxed{\sqrt{3} + x}", "stop")
