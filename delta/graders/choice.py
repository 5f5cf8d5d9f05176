r"""The letter of an option, A to J: in the last box, else where the answer ends (MMLU-Pro, GPQA).

1. The last box, if it holds one letter: \boxed{B}, \boxed{\text{(B)}}, \boxed{B. 42}.
2. Else the last sentence "the answer is (B)", then the last "Answer: B".
3. Else a last line that is nothing but the letter: **B**, (B), "Option B."

MMLU-Pro's own script takes the first such sentence, so that an answer that corrects itself keeps
its first letter; then any last capital from A to J in the text, a variable or a truth value too;
and then guesses at random. Here an answer without a letter is wrong, and says so.
"""

import re

from delta.graders import Verdict
from delta.graders.readings import WORDS, last_box

LETTER = r"([A-J])"
SEVERAL = re.compile(rf"{LETTER}(?:\s*(?:,|/|&|and|or)\s*\(?{LETTER}\)?)+")
NO_LETTER = r"(?![\w'’])(?!(?<=[AI])\s+[a-z])"  # "A1's share", "A good thing", "I think"
OPENING = re.compile(
    rf"(?:(?:the )?(?:correct )?(?:answer|option|choice)(?: is)?:?\s*)?[(\[]?\s*{LETTER}\s*"
    r"(?:[)\]]|[.:](?!\w)|\\|$|-\s|\s(?=\d))",
    re.IGNORECASE,
)
SENTENCE = re.compile(
    rf"(?:answer|(?:correct|best) (?:option|choice)) is:?\s*(?:option\s*)?[(\[]?\s*"
    rf"(?-i:{LETTER}{NO_LETTER})",
    re.IGNORECASE,
)
COLON = re.compile(rf"answer:\s*[(\[]?\s*(?-i:{LETTER}{NO_LETTER})", re.IGNORECASE)


def grade(gold_answer: str, answer: str | None, finish_reason: str) -> Verdict:
    gold = gold_answer.strip().strip("()").upper()
    if not re.fullmatch(LETTER, gold):
        reason = "unparsable_gold" if gold else "empty_gold"
        return Verdict("ungradable", None, reason)
    extracted = None if answer is None else letter(answer)
    if extracted is None:
        cut = answer is None or finish_reason == "length"
        return Verdict("incorrect", None, "cut" if cut else "no_letter")
    if len(extracted) > 1:
        return Verdict("incorrect", extracted, "several_letters")
    if extracted == gold:
        return Verdict("correct", extracted, None)
    return Verdict("incorrect", extracted, "different")


def letter(answer: str) -> str | None:
    """The letter that an answer chose, or all of them where it chose several in one box."""
    boxed = last_box(answer)
    if boxed is not None and (found := letter_of_option(boxed)):
        return found
    text = plain(answer)
    for pattern in (SENTENCE, COLON):
        if letters := pattern.findall(text):
            return str(letters[-1])
    last_line = text.strip().rpartition("\n")[2]
    return letter_of_option(last_line) if len(last_line) < 20 else None


def letter_of_option(option: str) -> str | None:
    """B of "B", "(b)", "B. 42" and "Option B"; "A, B" of "A and B"; None of a value."""
    option = plain(option).strip()
    if several := SEVERAL.match(option.replace("(", "").replace(")", "")):
        return ", ".join(re.findall(r"(?<![a-zA-Z])[A-J](?![a-zA-Z])", several[0]))
    found = OPENING.match(option)
    return found[1].upper() if found else None


def plain(text: str) -> str:
    r"""The text without bold marks, dollars and \text{…} around its words."""
    text = re.sub(rf"{WORDS}\s*\{{([^{{}}]*)\}}", r"\1", text)
    text = re.sub(r"\*\*|__|\\!|\\?\$|\\left|\\right|\\[()\[\]]", "", text)
    return re.sub(r"\\[ ,;:]|~", " ", text)
