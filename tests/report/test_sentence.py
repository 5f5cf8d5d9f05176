"""The sentence says what rose, what fell and what cannot be told, and nothing else."""

import pytest

from delta.report.sentence import sentence
from delta.report.this_run import Measure
from delta.stats.contrasts import Contrast
from delta.stats.intervals import Interval

VERDICTS = {"+": "better", "-": "worse", "?": "cannot tell"}
NAMES = ("finished", "asked_form", "right_any_form", "correct", "right_if_finished")
NOTHING = Interval(0.0, 0.0, 1.0)


def say(signs: str, pairs: int = 16, method: str = "dpo", names: tuple[str, ...] = NAMES) -> str:
    """Return the sentence for a sign of each measure: + rose, - fell, ? cannot be told.

    Four signs: what is right in any form is so among finished answers, too.
    """
    signs += signs[2] if len(signs) == 4 and len(names) == 5 else ""
    measures = [
        Measure(name, "", 9, NOTHING, NOTHING, Contrast(0.0, 0.0, 0.0, 1.0), VERDICTS[sign])
        for name, sign in zip(names, signs, strict=True)
    ]
    return sentence(measures, pairs, method, "M")


def with_answers_in_form(correct: str, fall: float, verdict: str) -> str:
    """Return the sentence where 80% of the answers in the asked form were right before."""
    counted = [
        Measure(name, "", 9, NOTHING, NOTHING, Contrast(0.0, 0.0, 0.0, 1.0), VERDICTS[sign])
        for name, sign in zip(NAMES[:4], ("?", "+", correct, correct), strict=True)
    ]
    before, after = (Interval(share, 0.0, 1.0) for share in (0.8, 0.8 - fall))
    difference = Contrast(-fall, -0.5, 0.5, 0.5)
    in_form = Measure("right_if_asked_form", "", 9, before, after, difference, verdict)
    return sentence([*counted, in_form], 16, "dpo", "M")


def test_where_accuracy_rises_and_less_in_the_asked_form_is_right_the_sentence_says_so() -> None:
    fewer = (
        " Yet of its answers in the asked form, fewer are right: 80.0% before, 60.0% after, on the "
        "9 questions with such an answer both times"
    )
    assert with_answers_in_form("+", 0.2, "worse") == FORM["?+++"] + fewer + "."
    by_chance = "; this fall may be chance."
    assert with_answers_in_form("+", 0.2, "cannot tell") == FORM["?+++"] + fewer + by_chance
    assert with_answers_in_form("+", -0.1, "better") == FORM["?+++"]
    assert with_answers_in_form("-", 0.2, "worse") == FORM["?+--"]
    assert with_answers_in_form("?", 0.2, "worse") == FORM["?+??"]


# The form: finishes, asked form; both measures of being right rose, fell, or cannot be told.
FORM = {
    "++++": "DPO on 16 pairs taught M to finish more of its answers, to give more of them in the "
    "asked form and to be right more often.",
    "++--": "DPO on 16 pairs taught M to finish more of its answers and to give more of them in "
    "the asked form, but it is right less often.",
    "++??": "DPO on 16 pairs taught M to finish more of its answers and to give more of them in "
    "the asked form. Whether it is right more often cannot be told.",
    "+-++": "DPO on 16 pairs taught M to finish more of its answers and to be right more often, "
    "but it gives fewer of them in the asked form.",
    "+---": "DPO on 16 pairs taught M to finish more of its answers, but it gives fewer of them "
    "in the asked form and is right less often.",
    "+-??": "DPO on 16 pairs taught M to finish more of its answers, but it gives fewer of them "
    "in the asked form. Whether it is right more often cannot be told.",
    "+?++": "DPO on 16 pairs taught M to finish more of its answers and to be right more often.",
    "+?--": "DPO on 16 pairs taught M to finish more of its answers, but it is right less often.",
    "+???": "DPO on 16 pairs taught M to finish more of its answers. Whether it is right more "
    "often cannot be told.",
    "-+++": "DPO on 16 pairs taught M to give more of its answers in the asked form and to be "
    "right more often, but it finishes fewer of them.",
    "-+--": "DPO on 16 pairs taught M to give more of its answers in the asked form, but it "
    "finishes fewer of them and is right less often.",
    "-+??": "DPO on 16 pairs taught M to give more of its answers in the asked form, but it "
    "finishes fewer of them. Whether it is right more often cannot be told.",
    "--++": "DPO on 16 pairs taught M to be right more often, but it finishes fewer of its "
    "answers and gives fewer of them in the asked form.",
    "----": "After DPO on 16 pairs, M finishes fewer of its answers, gives fewer of them in the "
    "asked form and is right less often.",
    "--??": "After DPO on 16 pairs, M finishes fewer of its answers and gives fewer of them in "
    "the asked form. Whether it is right less often cannot be told.",
    "-?++": "DPO on 16 pairs taught M to be right more often, but it finishes fewer of its "
    "answers.",
    "-?--": "After DPO on 16 pairs, M finishes fewer of its answers and is right less often.",
    "-???": "After DPO on 16 pairs, M finishes fewer of its answers. Whether it is right less "
    "often cannot be told.",
    "?+++": "DPO on 16 pairs taught M to give more of its answers in the asked form and to be "
    "right more often.",
    "?+--": "DPO on 16 pairs taught M to give more of its answers in the asked form, but it is "
    "right less often.",
    "?+??": "DPO on 16 pairs taught M to give more of its answers in the asked form. Whether it "
    "is right more often cannot be told.",
    "?-++": "DPO on 16 pairs taught M to be right more often, but it gives fewer of its answers "
    "in the asked form.",
    "?---": "After DPO on 16 pairs, M gives fewer of its answers in the asked form and is right "
    "less often.",
    "?-??": "After DPO on 16 pairs, M gives fewer of its answers in the asked form. Whether it is "
    "right less often cannot be told.",
    "??++": "DPO on 16 pairs taught M to be right more often.",
    "??--": "After DPO on 16 pairs, M is right less often.",
    "????": "What DPO on 16 pairs taught M cannot be told apart from chance.",
}

# Right whatever the form and counted right differ: what is then said of them.
DIFFERENT = {
    "+-": "is right more often whatever the form, but counted right less often.",
    "-+": "is right less often whatever the form, but counted right more often.",
    "+?": "is right more often whatever the form; whether it is counted right more often cannot "
    "be told.",
    "-?": "is right less often whatever the form; whether it is counted right less often cannot "
    "be told.",
    "?+": "is counted right more often; whether it is right more often whatever the form cannot "
    "be told.",
    "?-": "is counted right less often; whether it is right less often whatever the form cannot "
    "be told.",
}


@pytest.mark.parametrize("signs", FORM)
def test_what_rose_was_taught_and_what_fell_is_said_too(signs: str) -> None:
    assert say(signs) == FORM[signs]


@pytest.mark.parametrize("form", [signs for signs in FORM if signs.endswith("??")])
@pytest.mark.parametrize("right", DIFFERENT)
def test_being_right_and_counting_as_right_are_told_apart(form: str, right: str) -> None:
    if form == "????":
        assert say("??" + right) == f"After DPO on 16 pairs, M {DIFFERENT[right]}"
    else:
        first = FORM[form].split(". ")[0]
        assert say(form[:2] + right) == f"{first}. It {DIFFERENT[right]}"


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ("+?++?", "right more often; on the 9 questions that it finished both times, no gain can be"
         " told."),
        ("+?++-", "right more often; on the 9 questions that it finished both times, it is right "
         "less often."),
        ("-?--?", "right less often; on the 9 questions that it finished both times, no loss can be"
         " told."),
        ("-?--+", "right less often; on the 9 questions that it finished both times, it is right "
         "more often."),
    ],
)  # fmt: skip
def test_being_right_because_more_is_finished_is_no_better_calculation(
    signs: str, expected: str
) -> None:
    first = FORM[f"{signs[0]}???"].split(". ")[0]
    assert say(signs) == f"{first}. It is {expected}"


def test_where_no_question_was_finished_twice_the_sentence_says_so() -> None:
    assert say("+?++", names=NAMES[:4]) == (
        "DPO on 16 pairs taught M to finish more of its answers. It is right more often, but no "
        "question was finished both before and after."
    )


def test_a_change_that_does_not_follow_finishing_is_said_as_before() -> None:
    assert say("?+++?") == FORM["?+++"]
    assert say("-+++?") == FORM["-+++"]


@pytest.mark.parametrize(
    ("method", "pairs", "expected"),
    [
        ("dpo", 1, "DPO on 1 pair taught M to be right more often."),
        ("dpo", 2500, "DPO on 2,500 pairs taught M to be right more often."),
        ("kto", 16, "KTO on the traces of 16 pairs taught M to be right more often."),
        ("sft", 16, "SFT on the chosen traces of 16 pairs taught M to be right more often."),
    ],
)
def test_the_sentence_names_the_method_and_what_it_learns_from(
    method: str, pairs: int, expected: str
) -> None:
    assert say("??++", pairs, method) == expected


def test_every_method_fits_every_form_of_the_sentence() -> None:
    assert say("-???", 16, "sft") == (
        "After SFT on the chosen traces of 16 pairs, M finishes fewer of its answers. "
        "Whether it is right less often cannot be told."
    )
    assert say("????", 16, "kto") == (
        "What KTO on the traces of 16 pairs taught M cannot be told apart from chance."
    )


def test_programs_have_one_form_and_one_way_to_be_right() -> None:
    names = ("finished", "asked_form", "correct")
    assert say("?++", names=names) == FORM["?+++"]
    assert say("+??", names=names) == FORM["+???"]
