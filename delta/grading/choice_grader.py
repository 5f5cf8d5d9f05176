r"""Grade a multiple-choice answer, a letter from A to J (MMLU-Pro, GPQA).

1. The last statement: a box that holds a letter (\boxed{B}, \boxed{\text{(B)}}, \boxed{B. 42}),
   "the answer is (B)", "Answer: B", "so B is correct", {"answer": "B"}. The later one wins, so an
   answer that corrects itself gives its last letter.
2. Without a statement, a first or last line that is a choice: **B**, "Option B.", "B) 42". A list
   of options is not a choice, nor is the last line of a reply that was cut.

Several letters in one statement are wrong ("several_letters"). "A" and "I" before a word are
letters only where they cannot be an article or a pronoun: "A because", but not "A ball".

MMLU-Pro's own script takes the first "answer is", so that an answer that corrects itself keeps
its first letter. Next it takes the last capital from A to J in the text, even a variable or a truth
value. At last it guesses at random. Here an answer without a letter is wrong ("no_letter").
"""

import itertools
import re
from collections.abc import Iterator

from delta.grading.formulas.boxes import BOX, MAX_ANSWER
from delta.grading.formulas.cleaning import WORDS
from delta.grading.verdict import Verdict, compared_verdict, verdict_without_answer

NOUN = r"(?:options?|choices?|answers?|letters?)"
# The article "A" precedes neither group; the pronoun "I" does not precede the second.
AFTER_A = "is was has only alone here then therefore thus hence again too it we they he you"
AFTER_BOTH = (
    "because since as for and or but which where so due given by from although though while if "
    "when on in at to with the this these that"
)
NO_ARTICLE = rf"(?:{'|'.join((AFTER_A + ' ' + AFTER_BOTH).split())})\b"
NO_PRONOUN = rf"(?:{'|'.join(AFTER_BOTH.split())})\b"
ROMAN = r"(?: only\b| alone\b| ?(?:,|&|and|or) ?(?:I?V|II+|VI+)\b)"
# A letter in brackets, or alone: not a word, a name in a formula, or part of a question.
LETTER = re.compile(
    rf"(?:boxed: )?(?:{NOUN}:? )?(?:"
    r"[(\[] ?([A-Ja-j]) ?[)\]](?! ?(?:[=^_<>?]|\\(?:cup|cap|times|cdot|to|in|setminus)\b))"
    r"|((?-i:A(?! (?!"
    + NO_ARTICLE
    + r")[a-z])|[B-H]|I(?! (?!"
    + NO_PRONOUN
    + rf")[a-z]|{ROMAN})|J))"
    r"(?![\w'’(]|[.-]\w| ?(?:[=>+*^_?∪∩×·→−∈⊂]|<(?!/)|\\))"
    r"|((?-i:[a-j]))(?=[\"']|\.?(?:\n|$)))",
    re.IGNORECASE,
)
LIST = re.compile(
    r"(?:\(|\[|\\?\{) ?([A-J](?:(?: ?, ?| ?[/&] ?| and | or |, and |, or )[A-J])+) ?[)\]}\\]"
)
JOINT = re.compile(r" ?, ?(?:and |or |& )?| ?[/&+] ?| (?:and/or|and|or) | ?(?=\([A-J]\))")
SINGULAR = re.compile(r"\)? (?:is|was|has|does|fails|gives|cannot|would)\b")
VERB = (
    r"(?:(?:is|are)(?: not \(?[A-J]\)?,? but(?: rather)?)?"
    r"|(?:would|should|must|will|can|could|has to|seems to|appears to)"
    r"(?: (?:therefore|thus|hence|only))? be)"
)
ADVERB = (
    r"(?: (?:therefore|thus|hence|clearly|indeed|actually|simply|probably|likely|most likely"
    r"|definitely|obviously|then|now|still|instead|both|either|just),?)"
)
CORRECT = r"(?:correct|right|best)"
# The text before the letter of a statement.
LEAD = re.compile(
    rf"\b(?:answers?(?: (?:choice|option|letter))?|ans\.?"
    rf"|(?:{CORRECT}|final|chosen|selected|my) (?:{NOUN}|statement|alternative|one))"
    rf"(?:(?: (?:to|for|among|amongst|from) [^.:\n]{{1,60}}?)? {VERB}{ADVERB}{{0,2}} ?:?| ?[:=–—-])"
    rf"\s?(?:the )?(?:(?:{CORRECT}|following) )?(?:{NOUN}:? )?(?:both |either )?"
    rf"|[\"']\w{{0,20}}(?:answer|choice|option|letter)[\"'] ?: ?\[? ?[\"']?"
    r"|<(?:final_)?(?:answer|choice)>\s?"
    r"|\bboxed: "
    rf"|\b(?:(?-i:I)(?:['’](?:ll|d|m)| will| would| am)? "
    rf"(?:choose|chose|choosing|pick|select|say|go with|going with|opt for)"
    rf"|(?:choose|pick|select|which is|corresponds to|corresponding to|matches) (?:the )?"
    rf"(?={NOUN} )) ?",
    re.IGNORECASE,
)
# "Actually, it is C.", "That leaves C.", "Hence option C.": weaker, so only a reason may follow.
IT_IS = re.compile(
    r"\b(?:it(?: (?:is|must be|should be|has to be)|['’]s)(?: actually| rather)?"
    r"|(?:that|this|which) leaves(?: us)?(?: with)?(?: only)?"
    rf"|(?:so|thus|hence|therefore),?(?: the)?(?= {NOUN} )) "
    rf"(?={LETTER.pattern}(?:[.,;!]|$|\n| (?:because|since)\b))",
    re.IGNORECASE,
)
SUPPOSED = re.compile(
    rf"\b(?:if|whether|unless|suppose|assuming) (?:that )?(?:the |my )?(?:{CORRECT} |final )*$"
    r"|\b(?:incorrect|wrong|other|possible|available|alternative|false) $",
    re.IGNORECASE,
)
# "A is correct", "(B) and (C) are the right options": the letter comes first.
LEADING = re.compile(
    rf"(?<![\w'’-])(?:{NOUN} )?(?-i:\([A-J]\)|[A-J])(?:(?: ?,| and| or|, and|, or) "
    rf"(?:{NOUN} )?(?-i:\([A-J]\)|[A-J])(?!\w)){{0,9}} (?:is|are)(?: both)?"
    rf"(?:(?: the)? {CORRECT}(?: {NOUN}| one)?| (?:the|my)(?: final)? (?:answer|choice))"
    r"(?=[.,;:!]|\s?$|\n| (?:because|since|as|for)\b)",
    re.IGNORECASE,
)
NO_OPTION = re.compile(
    r"\b(?:statements?|assertions?|claims?|propositions?|premises?|reasons?|parts?|cases?|columns?"
    r"|neither|nor|not|if|whether|unless)\W*$",
    re.IGNORECASE,
)
# Capitals only: "(a)" and "(i)" open the parts of a derivation.
MARKER = re.compile(
    rf"(?:[-*>#•]+ )?(?i:{NOUN}:? )?(?:[(\[]([A-J])[)\]]|([A-J])[.):](?= |$))(?! ?[=^_<>+])"
)
INNER_MARKER = re.compile(r"\([A-J]\) |(?<![\w(] )(?<![\w(])[A-J]\) ")
START_OF_LINE = re.compile(r"(?:[-*>#•]+ )?(?:(?:so|thus|hence|therefore|both),? )?", re.I)
FACES = r"\\(?:texttt|textup|textnormal|underline|emph|boldsymbol|bm|mathtt)"
ALONE = re.compile(  # a letter that markup or quotes set apart
    rf"(?:(?:{WORDS}|{FACES})\s*\{{|(?<!\*)\*{{1,3}}|__|[\"'`“‘]|\$|\\\()\s*"
    r"\(?(?-i:([A-J]))[.)]?\s*(?:\}|\*{1,3}|__|[\"'`”’]|\$|\\\))"
)
HTML = re.compile(r"<(b|i|u|em|strong)>([^<>]*)</\1>")
EMPHASIS = re.compile(r"(?<![\w*])((\*)|_)((?i:(?:final |correct )?answer):?)(?(2)\*|_)(?![\w*])")
WHOLE_LINE = re.compile(r"^([*_])(?![*_\s])([^*_\n]+)\1$", re.MULTILINE)
SIZES = re.compile(
    r"\\(?:bf|rm|it|sf|tt|large|Large|LARGE|huge|displaystyle|textstyle)(?![a-zA-Z])"
)
INSIDE = r"(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*+\})*+\})*+\})"
BOXED = re.compile(rf"{BOX.pattern}({INSIDE}{{0,{MAX_ANSWER}}}+)\}}")
BEFORE_WORDS = re.compile(rf"^\s*([A-J])\s*(?={WORDS}\s*\{{|\\q?quad(?![a-z])|\\\s)")


def grade(gold_answer: str, answer: str | None, finish_reason: str) -> Verdict:
    """Return the verdict on an answer, the reply after its reasoning; None: cut before that."""
    gold = gold_answer.strip().strip("()").upper()
    if not re.fullmatch("[A-J]", gold):
        reason = "unparsable_gold" if gold else "empty_gold"
        return Verdict("ungradable", None, reason)
    extracted = None if answer is None else chosen_letter(answer, finish_reason == "length")
    if extracted is None:
        return verdict_without_answer(answer, finish_reason, "no_letter")
    if len(extracted) > 1:
        return Verdict("incorrect", extracted, "several_letters")
    return compared_verdict(extracted == gold, extracted)


def chosen_letter(answer: str, cut: bool = False) -> str | None:
    """Return the letter that an answer chose; several as "A, B"; None without a choice.

    `cut`: the reply was cut by length, so its last word may be incomplete.
    """
    text = normalize(BOXED.sub(_read_box, answer))
    return _last_statement(text, cut) or _choice_line(text, cut)


def _read_box(box: re.Match[str]) -> str:
    letters = letter_of_option(box[1])
    return f"boxed: ({letters})" if letters else ""


def letter_of_option(option: str) -> str | None:
    """Return B for "B", "(b)", "B. 42", "Option B"; "A, B" for "A and B"; None for a value."""
    option = re.sub(r"^\s*\{(.*)\}\s*$", r"\1", SIZES.sub("", option))
    text = normalize(BEFORE_WORDS.sub(r"(\1) ", option)).strip()
    if stated := _last_statement(text, cut=False):
        return stated
    text = re.sub(r"^[a-j](?=[.:)]|$)", lambda small: small[0].upper(), text)
    letters, end = _letters(text, 0)
    rest = text[end:]
    is_bracket = end > 0 and text[end - 1] in ")]"
    if len(letters) == 1 and not is_bracket and not re.match(r"[.:),]| (?:\(|-|\d)|$", rest):
        return None if re.match(r" [a-z]", rest) is None else letters[0]
    return ", ".join(letters) or None


def strip_markup(text: str) -> str:
    r"""Return the text without bold marks, dollars and \text{…} around its words."""
    text = EMPHASIS.sub(r"\3", WHOLE_LINE.sub(r"\2", HTML.sub(r"\2", text)))
    for _ in range(2):  # \text{\textbf{B}}
        text = re.sub(rf"{WORDS}\s*\{{([^{{}}]*)\}}", r"\1", text)
    text = re.sub(r"\*\*|__|\\!|\\?\$|\\left|\\right|\\[()\[\]]", "", text)
    return re.sub(r"\\(?:[ ,;:]|q?quad(?![a-z]))|~", " ", text)


def normalize(text: str) -> str:
    """Return the plain text with lone letters in brackets.

    It has one blank between words and no empty lines, because expressions are slow on long blanks.
    """
    text = re.sub(r"\(\(([A-J])\)\)", r"(\1)", strip_markup(ALONE.sub(r"(\1)", text)))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(filter(None, lines))


def _letters(text: str, start: int) -> tuple[list[str], int]:
    """Return the letters at `start`, joined by commas or words, and where they end."""
    if listed := LIST.match(text, start):
        return re.findall("[A-J]", listed[1]), listed.end()
    letters, end = list[str](), start
    while match := LETTER.match(text, start):
        if letters and SINGULAR.match(text, match.end()):
            break  # "B, and D is wrong"
        letters.append((match[1] or match[2] or match[3]).upper())
        end = match.end()
        joint = JOINT.match(text, end)
        if joint is None:
            break
        start = joint.end()
    return letters, end


def _last_statement(text: str, cut: bool) -> str | None:
    statements = [(start, letters) for start, letters in _statements(text, cut) if letters]
    if not statements:
        return None
    return ", ".join(dict.fromkeys(max(statements)[1]))


def _statements(text: str, cut: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield each statement of which answer is right: its position and its letters."""
    stated: set[str] = set()  # single letters
    read = 0  # end of the last statement; "\\boxed{B} and \\boxed{D}" is a single statement
    for lead in itertools.chain(LEAD.finditer(text), IT_IS.finditer(text)):
        letters, end = _letters(text, lead.end())
        is_incomplete = cut and end == len(text) and text[-1:].isalpha()
        if is_incomplete or SUPPOSED.search(text, max(0, lead.start() - 60), lead.start()):
            continue
        if lead.start() >= read or lead.re is IT_IS:
            yield lead.start(), letters
            stated |= set(letters) if len(letters) == 1 else set()
        read = max(read, end)
    for statement in LEADING.finditer(text):
        if not NO_OPTION.search(text, max(0, statement.start() - 30), statement.start()):
            letters = re.findall(r"(?<!\w)[A-J](?!\w)", statement[0])
            if len(letters) == 1 or not stated or stated & set(letters):  # not: "D: A and B are"
                yield statement.start(), letters


def _choice_line(text: str, cut: bool) -> str | None:
    """Return the letter of a first or last line that is a choice; None if another line differs."""
    lines = text.split("\n")
    ends = [lines[0]] if cut and len(lines) > 1 else [lines[-1], lines[0]]
    bare = {letters for line in lines if (letters := _bare_letters(line))}
    if bare:
        chosen = next(filter(None, map(_bare_letters, ends)), None)
        return chosen if len(bare) == 1 else None
    markers = [marker for line in lines if (marker := MARKER.match(line))]
    if len({marker[1] or marker[2] for marker in markers}) > 1:
        return None
    if any(re.match(r"II[.)]", line) for line in lines):
        return None
    if len(lines) == 1 and (dashed := re.match(r"([A-J]) [-–—] [^=]*$", text)):
        return dashed[1]
    return next(filter(None, map(_letter_of_line, ends)), None)


def _bare_letters(line: str) -> str | None:
    """Return the letters of a line with nothing else: "B", "(B).", "Option B", "So A and C"."""
    start = START_OF_LINE.match(line)
    letters, end = _letters(line, start.end() if start else 0)
    if letters and re.fullmatch(r"[.)!]?\)?", line[end:]):
        return ", ".join(dict.fromkeys(letters))
    return line.strip("(.)").upper() if re.fullmatch(r"\(?[a-j][.)]?", line) else None


def _letter_of_line(line: str) -> str | None:
    """Return the letter of a line that is an option with its text: "B) 42"."""
    marker = MARKER.match(line)
    if marker is None or len(line) > MAX_ANSWER or INNER_MARKER.search(line, marker.end()):
        return None
    return None if line.startswith("A:") else marker[1] or marker[2]  # "A: Let us think"
