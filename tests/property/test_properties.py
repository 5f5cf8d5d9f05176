"""Properties of any input, over random ones: extraction, parsing, the reply cache, statistics.

Those of budgets, selection and the rules are in tests/judging and tests/pairing.
"""

import json
import os
import socket
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from delta.core import strict_json
from delta.grading.formulas.boxes import last_box
from delta.inference import chat_formats
from delta.inference.reply_cache import ReplyCache
from delta.judging import rubric
from delta.stats import contrasts, intervals, multiple_testing, rank_correlation
from tests.helpers.judge_replies import judge_reply

UNICODE = st.characters(exclude_categories=["Cs"])  # no half of a surrogate pair

# --- extraction ---

plain_text = st.text(st.characters(exclude_characters="{}\\", exclude_categories=["Cs"]))
balanced = st.recursive(
    plain_text,
    lambda inner: st.tuples(plain_text, inner, plain_text).map(lambda t: f"{t[0]}{{{t[1]}}}{t[2]}"),
)


@given(st.text(), balanced, plain_text)
def test_the_last_balanced_box_is_found_in_any_text(before: str, content: str, after: str) -> None:
    assume(not before.endswith("\\"))
    assert last_box(f"{before} \\boxed{{{content}}}{after}") == content.strip()


@given(plain_text, plain_text)
def test_a_text_without_a_box_has_no_answer(before: str, after: str) -> None:
    assert last_box(before + after) is None
    assert last_box(f"{before}\\boxed{{{after}") is None


@given(
    st.sampled_from(sorted(chat_formats.all_chat_formats())),
    st.text(st.characters(exclude_characters="<|", exclude_categories=["Cs"])),
    st.text(st.characters(exclude_characters="<|", exclude_categories=["Cs"])),
)
def test_every_chat_format_splits_what_it_writes(name: str, reasoning: str, answer: str) -> None:
    chat_format = chat_formats.load(name)
    assume(chat_format.begins is not None)
    assume(reasoning.strip())
    text = chat_format.write(reasoning, answer)
    start, end, begin = chat_format.split(text)
    assert text[start:end].strip() == reasoning.strip()
    assert begin is not None
    assert text[begin:].strip() == answer.strip()


# --- parsing ---

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(UNICODE),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(UNICODE), inner),
    max_leaves=20,
)


@given(json_values)
def test_json_values_are_parsed_unchanged(value: Any) -> None:
    assert strict_json.loads(json.dumps(value)) == value
    assert strict_json.loads(json.dumps(value, ensure_ascii=False).encode()) == value


words = st.text(UNICODE, max_size=rubric.MAX_TEXT)
ratings = st.fixed_dictionaries(
    {
        dimension.name: st.fixed_dictionaries(
            {
                "score": st.integers(rubric.LOWEST, rubric.HIGHEST),
                "justification": words,
                "deductions_found": st.lists(words, max_size=rubric.MAX_DEDUCTIONS),
            }
        )
        for dimension in rubric.RUBRIC
    }
)


@given(ratings)
def test_a_valid_rating_is_read_unchanged(rating: dict[str, Any]) -> None:
    votes = rubric.parse_votes(judge_reply(rating))
    assert votes is not None
    for name, expected in rating.items():
        assert votes[name]._asdict() == {
            "score": expected["score"],
            "justification": expected["justification"],
            "deductions": expected["deductions_found"],
            "outside": None,  # only an expected score has one
        }


no_score = (
    st.integers().filter(lambda n: not rubric.LOWEST <= n <= rubric.HIGHEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
    | st.text(UNICODE)
    | st.lists(st.integers(1, 5))
)


@given(ratings, st.sampled_from(rubric.RUBRIC), no_score)
def test_no_other_value_is_a_score(rating: dict[str, Any], dimension: Any, value: Any) -> None:
    rating = {**rating, dimension.name: {**rating[dimension.name], "score": value}}
    assert rubric.parse_votes(judge_reply(rating)) is None


# --- the reply cache ---

KEYS = [f"key {n}" for n in range(8)]


def write_cache(folder: Path) -> Path:
    with ReplyCache(folder) as cache:
        for number, key in enumerate(KEYS):
            cache.put(key, {"n": number, "text": "x" * number})
    return folder / f"{socket.gethostname()}.log"


def numbers_kept(folder: Path) -> list[int]:
    with ReplyCache(folder) as cache:
        values = [(number, cache.get(key)) for number, key in enumerate(KEYS)]
    for number, value in values:
        assert value in (None, {"n": number, "text": "x" * number})
    return [number for number, value in values if value is not None]


@given(st.data())
def test_a_truncated_cache_keeps_all_complete_replies(data: st.DataObject) -> None:
    with TemporaryDirectory() as name:
        file = write_cache(Path(name))
        lengths = [len(line) for line in file.read_bytes().splitlines(keepends=True)]
        ends = list(accumulate(lengths))
        size = data.draw(st.integers(0, ends[-1]))
        os.truncate(file, size)
        assert numbers_kept(Path(name)) == list(range(sum(end <= size for end in ends)))


@given(st.data())
def test_a_changed_byte_costs_at_most_two_replies_and_changes_none(
    data: st.DataObject,
) -> None:
    with TemporaryDirectory() as name:
        file = write_cache(Path(name))
        content = bytearray(file.read_bytes())
        index = data.draw(st.integers(0, len(content) - 1))
        content[index] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
        assert len(numbers_kept(Path(name))) >= len(KEYS) - 2


# --- statistics ---

clusters = st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=2, max_size=30)


@given(clusters)
def test_the_interval_of_a_fraction_contains_it_and_mirrors_the_complements(
    right: list[list[bool]],
) -> None:
    interval = intervals.clustered_proportion(right)
    assert interval.value == pytest.approx(np.mean(right))
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    complement = [[not correct for correct in cluster] for cluster in right]
    wrong = intervals.clustered_proportion(complement)
    assert wrong.low == pytest.approx(1 - interval.high, abs=1e-12)
    assert wrong.high == pytest.approx(1 - interval.low, abs=1e-12)
    assert intervals.clustered_proportion(right[::-1]) == pytest.approx(interval)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_swapping_two_runs_negates_their_difference(pairs: list[tuple[bool, bool]]) -> None:
    def difference(first: int, second: int) -> contrasts.Contrast:
        correct = np.array([[[pair[first]], [pair[second]]] for pair in pairs], dtype=float)
        answers = contrasts.CorrectCounts(correct.transpose(1, 0, 2).sum(axis=2), 1)
        return contrasts.contrast(contrasts.group_terms([answers], [1, -1]))

    forward, backward = difference(0, 1), difference(1, 0)
    assert forward.value == pytest.approx(-backward.value, abs=1e-12)
    assert forward.low == pytest.approx(-backward.high, abs=1e-12)
    assert forward.p == pytest.approx(backward.p)
    assert forward.low <= forward.value <= forward.high
    is_significant = forward.low > 0 or forward.high < 0
    assert (forward.p < 0.05) == is_significant or forward.p == pytest.approx(0.05)


ps = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@given(ps)
def test_corrected_p_values_keep_their_order_and_never_shrink(given_ps: list[float]) -> None:
    adjusted = multiple_testing.holm(given_ps)
    assert all(
        before - 1e-12 <= after <= 1 for before, after in zip(given_ps, adjusted, strict=True)
    )
    by_before = [after for _, after in sorted(zip(given_ps, adjusted, strict=True))]
    assert by_before == sorted(by_before)


values = st.lists(st.integers(-5, 5), min_size=4, max_size=30)


@given(st.data(), values)
def test_a_rank_correlation_equals_scipys_in_any_row_order(
    data: st.DataObject, first: list[int]
) -> None:
    second = data.draw(st.lists(st.integers(-5, 5), min_size=len(first), max_size=len(first)))
    correlation = rank_correlation.spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert correlation.value is None
        return
    expected = scipy_stats.spearmanr(first, second).statistic
    assert correlation.value == pytest.approx(expected, abs=1e-9)
    assert rank_correlation.spearman(first[::-1], second[::-1]) == pytest.approx(correlation)
