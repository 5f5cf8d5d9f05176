r"""Find an answer that is not in the asked form, so that its content can be graded alone.

lm-evaluation-harness calls this flexible-extract: the last number of the text (math, theorem), or
its last option letter (choice), whatever stands around it. The graders themselves stay strict: an
answer without its form is wrong in every score (docs/grading.md).
"""

import re

from delta.grading.formulas.boxes import MAX_ANSWER

# 1,234.5 and .5, with a sign where "-" does not subtract: "is -3", but not "5-3", "5 - 3", "x-3".
NUMBER = re.compile(
    r"(?:(?<![\w)\]}.%])(?<![\d)\]}] )[-−])?"
    r"(?<![\w.])(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
)
# A capital alone; "A" and "I" before a word are an article and a pronoun: "A ball", "I think".
LETTER = re.compile(r"(?<![\w'’])(?:[B-HJ]|[AI](?! [a-z]))(?![\w'’])")


def in_asked_form(grader: str, answer: str | None) -> str | None:
    r"""Return the last number or option letter of `answer` as a box; None where there is none.

    `answer` is the reply after its reasoning, or None where the reply was cut before. Programs
    (grader "code") have one form, so the result is None.
    """
    pattern = {"math": NUMBER, "theorem": NUMBER, "choice": LETTER}.get(grader)
    if answer is None or pattern is None:
        return None
    *_, last = [None, *pattern.finditer(answer)]
    if last is None or len(last[0]) > MAX_ANSWER:
        return None
    return rf"\boxed{{{last[0].replace('−', '-')}}}"
