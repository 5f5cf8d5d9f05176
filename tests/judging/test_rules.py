"""The rule judge and its equation reader on traces that are easy to check."""

import json
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delta.judging.rubric import Vote
from delta.judging.rules.equations import Equation, read_lines, read_value
from delta.judging.rules.rate import NoVote, RulesParams, cast_vote, rate, read

REAL = Path(__file__).parents[3] / "shared" / "real" / "gsm8k_example_model_solutions.jsonl"

DIMENSIONS = [
    "factuality",
    "strategy_coherence",
    "step_coherence",
    "computational_precision",
    "signal_to_noise",
]
DUCKS = (
    "Janet's ducks lay 16 eggs per day. She eats three for breakfast and bakes muffins with "
    "four. She sells the remainder for $5 per egg. How much does she make every day?"
)
FIVE = RulesParams(votes=5, seed=1)
GOOD = "She sells 16 - 3 - 4 = <<16-3-4=9>>9 eggs.\nShe makes 9 * 5 = $<<9*5=45>>45.\nA: 45"


def find_equations(text: str) -> list[Equation]:
    return [equation for line in read_lines(text) for equation in line.equations]


def vote(trace: str, dimension: str, statement: str = DUCKS) -> Vote | None:
    """Return the vote of a rater who overlooks nothing; None: no vote."""
    reading = read(statement, trace)[dimension]
    return None if isinstance(reading, NoVote) else cast_vote(reading)


def scores(trace: str, statement: str = DUCKS) -> list[float | None]:
    votes = [vote(trace, dimension, statement) for dimension in DIMENSIONS]
    return [None if each is None else each.score for each in votes]


def score(trace: str, dimension: str, statement: str = "") -> float | None:
    return scores(trace, statement)[DIMENSIONS.index(dimension)]


def triggers(trace: str, dimension: str, statement: str = DUCKS) -> tuple[str, ...]:
    each = vote(trace, dimension, statement)
    assert each is not None
    return tuple(each.deductions)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("3 + 4 = 7", True),
        ("3+4=8", False),
        ("5,000 * 2 = 10,000", True),
        ("9 * 2 = $<<9*2=18>>18 a day", True),
        ("3 x $68 = $204", True),
        ("3x60 = 180", True),
        ("4 × 5 = 20", True),
        ("20 ÷ 8 = 2.5", True),
        ("40 minutes + 100 minutes = 140 minutes", True),
        ("$5/glass * 16 glasses = $80.", True),
        ("20% of $50 = $10", True),
        ("5/20*100 = 25%", True),
        ("1 - 30% = 70%", True),
        ("4 cars / 20 cars * 100% = 25%", False),
        ("130,000*.15 = $195,000", False),
        ("3 1/2 * 4 = 14", True),
        ("2½ * 2 = 5", True),
        (r"\frac{3}{4} \cdot 8 = 6", True),
        (r"\frac12 + \frac12 = 1", True),
        (r"2\frac{1}{2} \times 2 = 5", True),
        (r"$2^{10} = 1024$", True),
        (r"\boxed{3 + 4 = 8}", False),
        ("**3 + 4 = 7**", True),
        ("1. 3 + 4 = 7", True),
        ("2(3 + 4) = 14", True),
        ("-5 + 3 = -2", True),
        ("360 - 480 = 120", False),
        ("12 = 3 * 4", True),
        ("5/3 = 1.66", True),  # cut
        ("5/3 = 1.67", True),  # rounded
        ("5/3 = 1.6", True),
        ("5/3 = 1.5", False),
        ("10/4 = 3", False),
        ("10/4 ≈ 3", True),
        ("1.1 * 3 = 3.3000000000000003", True),
        ("3 + 4\n= 8", False),
        ("3 + 4 is 8", False),
        (r"And $7 \times 301$ is $2107$.", True),
    ],
)
def test_an_equation_is_read_and_checked(text: str, holds: bool) -> None:
    assert [equation.holds for equation in find_equations(text)] == [holds]


@pytest.mark.parametrize(
    "text",
    [
        "x + 3 = 7 + 4",
        r"\frac{1}{3}Bh = \frac{1}{3}(30)(6.5)",
        "2x + 3 = 11 + 1",
        "f(3) = 7 + 2",
        "max(3, 4) = 2 + 2",
        "|3 - 5| = 2 * 1",
        "5! = 120 * 1",
        "101_2 = 5 + 0",
        r"\sqrt{16} = 2 + 2",
        "3^4 = 1 + 0 (mod 5)",
        "9:15 + 45 minutes = 10:00",
        "cost - 5 = 20 + 3",
        "5 + another 7 * 2 = 19",
        "There are 2 cats per dog = 60/2",
        "1 week = 7 days",
        "1/2 is 3 and more",
        "There are 5 - 3 ducks, which is 9",
        "9^9^9^9 = 3 + 1",
        "9" * 1000 + " + 1 = 3",
        "1/0 = 3 + 1",
    ],
)
def test_an_uncertain_expression_is_not_an_equation(text: str) -> None:
    assert find_equations(text) == []


def test_a_chain_has_an_equation_for_each_calculation() -> None:
    assert [e.holds for e in find_equations("2 + 2 = 2 * 2 = 5")] == [True, False]


def test_a_note_equal_to_its_text_is_not_a_second_equation() -> None:
    assert len(find_equations("9 * 2 = <<9*2=18>>18")) == 1
    assert [e.holds for e in find_equations("9 * 2 = <<9*2=18>>81")] == [True, False]


def test_an_equation_has_operands_and_a_computed_and_a_stated_value() -> None:
    (equation,) = find_equations("so 360 - 480 = 120 less")
    assert equation.operands == (Fraction(360), Fraction(480))
    assert (equation.computed, equation.stated) == (Fraction(-120), Fraction(120))


@pytest.mark.parametrize(
    ("text", "value"),
    [("$1,080", 1080), ("3/4", Fraction(3, 4)), ("-7 miles", -7), ("B", None), ("x + 1", None)],
)
def test_read_value_reads_the_value_of_an_answer(text: str, value: object) -> None:
    assert read_value(text) == value


def test_a_clean_solution_scores_5_in_every_dimension() -> None:
    ratings = rate(DUCKS, GOOD, FIVE)
    assert list(ratings) == DIMENSIONS
    assert list(ratings.values()) == [[Vote(5, "No trigger found.", [])] * 5] * 5


def test_a_wrong_sum_lowers_only_computational_precision() -> None:
    trace = "She sells 16 - 3 - 4 = 10 eggs.\nShe makes 10 * 5 = $50.\nA: 50"
    assert scores(trace) == [5, 5, 5, 2, 5]
    assert vote(trace, "computational_precision") == Vote(
        2, "Arithmetic error: 16 - 3 - 4 = 10.", ["arithmetic error: 16 - 3 - 4 = 10"]
    )


def test_precision_falls_with_the_fraction_of_wrong_equations() -> None:
    right = "".join(f"16 + {n} = {16 + n}\n" for n in range(20, 40))
    assert score(right + "3 + 4 = 8", "computational_precision") == 4
    assert score("3 + 4 = 7\n3 + 5 = 9\n1 + 1 = 2", "computational_precision") == 3
    assert score("3 + 4 = 8\n3 + 5 = 9", "computational_precision") == 1


def test_unannounced_rounding_to_an_integer_is_a_minor_trigger() -> None:
    assert score("70 / 30 = 2 trees", "computational_precision") == 4


def test_a_lost_minus_is_a_sign_error() -> None:
    trace = "So 360 - 480 = 120."
    assert triggers(trace, "computational_precision", "") == ("sign error: 360 - 480 = 120",)


def test_a_number_without_a_source_is_hallucinated_data() -> None:
    trace = "She sells 16 - 3 - 4 = 9 eggs.\nWith tax of 777 she makes 9 * 5 = 45.\nA: 45"
    assert triggers(trace, "factuality") == ("hallucinated data: 777",)


def test_an_unused_number_of_the_statement_is_an_ignored_constraint() -> None:
    trace = "She sells 16 - 3 = 13 eggs.\nShe makes 13 * 5 = 65.\nA: 65"
    assert triggers(trace, "factuality") == ("ignored explicit constraints: 4",)
    assert scores(trace) == [4, 5, 5, 5, 5]


@pytest.mark.parametrize(
    ("statement", "step"),
    [
        ("A price of 50 falls by 30%.", "50 * 0.7 = 35"),
        ("A price of 50 falls by 30%.", "50 * 30/100 = 15"),
        ("He runs half of 50 miles.", "50 / 2 = 25"),
        ("He runs two thirds of 60 miles.", "60 * 2/3 = 40"),
        ("She buys 5 dozen eggs.", "5 * 12 = 60"),
        ("It takes 5 weeks.", "5 * 7 = 35"),
        ("She eats three of 20.", "20 - 3 = 17"),
    ],
)
def test_the_forms_and_units_of_a_given_number_are_not_invented(statement: str, step: str) -> None:
    assert triggers(step, "factuality", statement) == ()


def test_an_operand_one_unshown_step_away_is_a_leap_and_not_invented() -> None:
    trace = "She makes 9 * 5 = 45 with what 16 and 3 and 4 leave.\nA: 45"
    assert triggers(trace, "step_coherence", DUCKS.replace("three", "7").replace("four", "0")) == (
        "unjustified leap to 9",
    )


def test_an_unused_result_lowers_step_coherence() -> None:
    trace = GOOD.replace("\nShe", "\nAlso 16 * 4 = 64.\nShe")
    assert triggers(trace, "step_coherence") == ("result that no later step uses: 16 * 4 = 64",)


def test_a_conclusion_that_is_no_result_lowers_only_step_coherence() -> None:
    assert scores(GOOD.replace("A: 45", "A: 46")) == [5, 5, 3, 5, 5]


def test_a_missing_conclusion_is_a_major_trigger_of_strategy_coherence() -> None:
    assert triggers(GOOD.removesuffix("\nA: 45"), "strategy_coherence") == ("no conclusion",)
    assert scores(GOOD.removesuffix("\nA: 45")) == [5, 3, 5, 5, 5]


@pytest.mark.parametrize(
    "ending", [r"\boxed{45}", "#### 45", "Answer: 45", "The final answer is 45.", "A: 45"]
)
def test_a_conclusion_may_be_marked_in_many_ways(ending: str) -> None:
    assert scores(GOOD.removesuffix("A: 45") + ending) == [5, 5, 5, 5, 5]


def test_undoing_an_earlier_step_is_circular() -> None:
    trace = "60 / 3 = 20\n20 * 3 = 60\nA: 60"
    statement = "He runs 60 meters 3 times."
    assert triggers(trace, "strategy_coherence", statement) == (
        "circular logic, undoes an earlier step: 20 * 3 = 60",
    )


def test_a_bare_answer_to_a_problem_with_quantities_has_no_strategy() -> None:
    assert scores("A: 45")[1] == 3


def test_repeated_lines_lower_only_signal_to_noise() -> None:
    line = GOOD.partition("\n")[0]
    assert scores(line + "\n" + GOOD) == [5, 5, 5, 5, 3]


def test_meta_commentary_lowers_signal_to_noise() -> None:
    trace = "Okay, wait. Hmm, let me think. Actually, maybe not.\n" + GOOD
    assert scores(trace) == [5, 5, 5, 5, 3]


@pytest.mark.parametrize("trace", ["", " \n\t\n"])
def test_an_empty_trace_fails_every_dimension(trace: str) -> None:
    assert [vote(trace, dimension) for dimension in DIMENSIONS] == [
        Vote(1, "Empty trace.", ["empty trace"])
    ] * 5


@pytest.mark.parametrize(
    ("trace", "unread"),
    [
        ("I do not know.", DIMENSIONS[:4]),
        ("She eats some and sells what is left for 45.", DIMENSIONS[1:4]),
        ("Let x = y + 3.\nThen z = x^2 - y.\nSo 2x + y = 7.\n9 * 5 = 45\nA: 45", DIMENSIONS[1:3]),
        ("A: 45", DIMENSIONS[2:4]),  # that there is no step is read
        (GOOD, []),
    ],
)
def test_what_the_rules_cannot_read_gets_no_vote(trace: str, unread: list[str]) -> None:
    ratings = rate(DUCKS, trace, FIVE)
    assert [name for name, votes in ratings.items() if isinstance(votes, NoVote)] == unread


def test_votes_are_fixed_by_the_text_the_seed_and_their_number() -> None:
    wrong = GOOD.replace("9 * 5 = $<<9*5=45>>45", "9 * 5 = 46")
    votes = rate(DUCKS, wrong, FIVE)["computational_precision"]
    assert votes == rate(DUCKS, wrong, FIVE)["computational_precision"]
    three = rate(DUCKS, wrong, RulesParams(votes=3, seed=1))["computational_precision"]
    assert not isinstance(votes, NoVote)
    assert three == votes[:3]
    found: set[float] = set()
    for seed in range(20):
        others = rate(DUCKS, wrong, RulesParams(votes=5, seed=seed))["computational_precision"]
        assert not isinstance(others, NoVote)
        found.update(each.score for each in others)
    assert found == {2, 3, 5}


@pytest.mark.parametrize(
    "text",
    [
        "\0" * 100_000,
        "9" * 100_000,
        "9^9^9^9 = 9^9^9^9\n" * 2_000,
        "1+" * 50_000 + "1 = 2",
        "1=" * 50_000,
        "(" * 50_000 + "3 = 3" + ")" * 50_000,
        "\\frac{" * 20_000,
        "\\boxed{" * 20_000,
        "\\text{" * 20_000,
        "[asy]" * 20_000,
        "<<" * 50_000,
        "\n=" * 50_000,
        "1,111" * 20_000,
        "-a" * 50_000,
        "A:\n" * 30_000,
        "step" + " " * 100_000,
        "1" + " " * 100_000 + "/",
        "\ud800 = ١٢ + ٣\n" * 5_000,
    ],
)
def test_adversarial_text_neither_hangs_nor_raises(text: str) -> None:
    started = time.process_time()
    for ratings in (rate(DUCKS, text, FIVE), rate(text, GOOD, FIVE)):
        for votes in ratings.values():
            assert isinstance(votes, NoVote) or all(1 <= each.score <= 5 for each in votes)
    assert time.process_time() - started < 5  # each takes a fraction of a second


def test_a_megabyte_takes_linear_time() -> None:
    text = "".join(f"Then {n} + 7 = {n + 7} apples.\n" for n in range(40_000))
    started = time.process_time()
    rate(DUCKS, text, FIVE)
    assert time.process_time() - started < 8  # about 1 s on an idle core


_MATHS = st.text(alphabet="0123456789 .,=+-*/^()[]{}<>%$\\x\nabA:#≈½", max_size=200)


@settings(max_examples=150)
@given(st.text(max_size=200) | _MATHS, st.text(max_size=200) | _MATHS)
def test_any_text_gives_scores_from_1_to_5_or_no_vote(statement: str, trace: str) -> None:
    ratings = rate(statement, trace, FIVE)
    assert list(ratings) == DIMENSIONS
    for votes in ratings.values():
        for each in () if isinstance(votes, NoVote) else votes:
            assert each.score in {1, 2, 3, 4, 5}
            assert (each.score == 5) == (not each.deductions)


@pytest.mark.skipif(not REAL.exists(), reason="the real rows are not in this checkout")
def test_correct_real_solutions_score_above_incorrect_ones() -> None:
    correct: list[tuple[float, float]] = []
    incorrect: list[tuple[float, float]] = []
    with REAL.open(encoding="utf-8", newline="\n") as rows:
        for _, row in zip(range(300), rows, strict=False):
            question = json.loads(row)
            for model in ("6b_finetuning", "6b_verification", "175b_verification"):
                solution = question[model]
                ratings = scores(solution["solution"], question["question"])
                group = correct if solution["is_correct"] else incorrect
                rated = [each for each in ratings if each is not None]
                precision = ratings[DIMENSIONS.index("computational_precision")]
                if precision is not None and len(rated) == 5:
                    group.append((precision, sum(rated) / 5))
    # All 1,319 questions and four models: 0.552 for precision, 0.707 for the mean of the five
    # (bench/rules_on_gsm8k.py). Four samples of 300 questions gave 0.544 to 0.550 and 0.69 to 0.72.
    assert auc([p for p, _ in correct], [p for p, _ in incorrect]) > 0.525
    assert auc([m for _, m in correct], [m for _, m in incorrect]) > 0.65


def auc(positive: list[float], negative: list[float]) -> float:
    wins = sum((p > n) + (p == n) / 2 for p in positive for n in negative)
    return wins / (len(positive) * len(negative))
