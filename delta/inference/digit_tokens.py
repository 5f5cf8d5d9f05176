"""The tokens of a reply that have a digit, with the probabilities of what else could stand there.

A judge's scores are digits. To keep the alternatives of these tokens alone makes a reply a few
kilobytes longer; those of all tokens would make it a hundred times as long.
"""

import math
import re
from collections.abc import Iterable, Sequence

from delta.inference.types import DigitToken

# The text of a token of the reply, and (text, log-probability) of the most probable tokens there.
Token = tuple[str, Sequence[tuple[str, float]]]
MAX_ALTERNATIVES = 20  # the most that vLLM and the OpenAI API return
DECIMALS = 9  # of a probability
DIGIT = re.compile("[0-9]")


def find_digits(text: str, tokens: Iterable[Token]) -> list[DigitToken] | None:
    """Return the tokens of `text` with a digit, in its order, or None where they are not known.

    `tokens` are those of the whole reply: before the text there may be reasoning that a server has
    separated from it, and special tokens that the text does not show. So the digits of the text
    must be the last ones of the tokens.
    """
    digits = [
        (number, match[0], alternatives)
        for number, (token, alternatives) in enumerate(tokens)
        for match in DIGIT.finditer(token)
    ]
    places = list(DIGIT.finditer(text))
    digits = digits[len(digits) - len(places) :] if len(digits) >= len(places) else []
    if [digit for _, digit, _ in digits] != [place[0] for place in places]:
        return None
    found: list[DigitToken] = []
    last = None
    for (number, _, alternatives), place in zip(digits, places, strict=True):
        if number != last:  # the first digit of its token
            found.append({"at": place.start(), "probabilities": _probabilities(alternatives)})
        last = number
    return found


def _probabilities(alternatives: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the probability of each text; two tokens may have the same."""
    total: dict[str, float] = {}
    for text, logprob in alternatives:
        if math.isnan(logprob):
            raise ValueError(f"the log-probability of {text!r} is not a number")
        total[text] = total.get(text, 0.0) + math.exp(min(0.0, logprob))
    return {text: round(probability, DECIMALS) for text, probability in total.items()}
