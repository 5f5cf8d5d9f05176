"""The page of answers in a real Chromium: filters by its address, both answers, no text runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from delta.report.viewer import answer_page
from delta.report.viewer.answer_page import BenchmarkAnswers
from tests.helpers.browser import horizontal_overflow, open_page
from tests.helpers.example_answers import example_answers
from tests.helpers.viewer_pages import HOSTILE, open_viewer

pytestmark = pytest.mark.slow

SUMS = example_answers(
    ["Add apples", "Add pears", "Add plums", "Add figs"],
    ["perhaps", "yes", "It is yes", "no"],
    ["yes", "no", "It is yes, sure", "no"],
)
LONG = example_answers(
    ["Count apples", "Count pears"], ["no", "no"], ["yes", "no"], "long-sums", "hard"
)
GAINED, LOST, BOTH, NEITHER = "sums.0", "sums.1", "sums.2", "sums.3"


@contextmanager
def open_answers(folder: Path, *benchmarks: BenchmarkAnswers, **window: Any) -> Iterator[Any]:
    """Open the page of these answers."""
    answer_page.write(folder / "answers", "zero-shot", "policy", benchmarks)
    with open_viewer(folder / "answers", **window) as page:
        yield page


def ids(page: Any) -> list[str]:
    texts: list[str] = page.locator("#items .lengths").all_text_contents()
    return texts


def test_the_list_shows_verdicts_answers_and_the_number_of_each_kind(tmp_path: Path) -> None:
    with open_answers(tmp_path, SUMS, LONG) as page:
        assert ids(page) == [GAINED, LOST, BOTH, NEITHER, "long-sums.0", "long-sums.1"]
        assert page.locator("#kinds button").all_text_contents() == [
            "2 wrong before, right after",
            "1 right before, wrong after",
            "1 right before and after",
            "2 wrong before and after",
        ]
        first = page.locator("#items li").first.inner_text()
        assert "before: wrong no answer in the asked form (right in another form)" in first
        assert "after: right yes" in first
        assert "reference: yes" in first


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("#benchmark=sums&kind=gained", [GAINED]),
        ("#benchmark=sums&kind=lost", [LOST]),
        ("#benchmark=sums&kind=both", [BOTH]),
        ("#kind=neither", [NEITHER, "long-sums.1"]),
        ("#benchmark=long-sums", ["long-sums.0", "long-sums.1"]),
        ("#group=easy&kind=gained", [GAINED]),
        ("#search=pears", [LOST, "long-sums.1"]),
        ("", [GAINED, LOST, BOTH, NEITHER, "long-sums.0", "long-sums.1"]),
    ],
)
def test_an_address_filters_the_list(tmp_path: Path, address: str, expected: list[str]) -> None:
    with open_answers(tmp_path, SUMS, LONG) as page:
        page.goto(page.url + address)
        page.get_by_text(f"{len(expected)} question", exact=False).last.wait_for()
        assert ids(page) == expected
        page.reload()
        page.locator("#items li").first.wait_for()
        assert ids(page) == expected


def test_a_filter_changes_the_address_and_the_way_back_keeps_it(tmp_path: Path) -> None:
    with open_answers(tmp_path, SUMS, LONG) as page:
        page.get_by_label("Benchmark").select_option("sums")
        page.get_by_role("button", name="wrong before, right after").click()
        assert page.url.endswith("#benchmark=sums&kind=gained")
        assert ids(page) == [GAINED]
        page.locator("#items a").click()
        page.get_by_role("heading", name="Question sums.0").wait_for()
        page.keyboard.press("Escape")
        assert ids(page) == [GAINED]
        page.get_by_role("button", name="wrong before, right after").click()
        assert ids(page) == [GAINED, LOST, BOTH, NEITHER]
        page.get_by_role("button", name="Reset").click()
        page.get_by_text("6 questions", exact=True).wait_for()


def test_an_unknown_benchmark_in_the_address_is_reported(tmp_path: Path) -> None:
    with open_answers(tmp_path, SUMS) as page:
        page.goto(page.url + "#benchmark=%3Cscript%3E&kind=gained")
        page.get_by_text("There is no benchmark here: <script>").wait_for()
        assert ids(page) == [GAINED]


def test_a_question_shows_both_answers_side_by_side(tmp_path: Path) -> None:
    with open_answers(tmp_path, SUMS) as page:
        page.goto(f"{page.url}#question={BOTH}")
        page.get_by_role("heading", name=f"Question {BOTH}").wait_for()
        text = page.locator("#content").inner_text()
        for words in (
            "right before and after, group easy",
            "Answer this: Add plums",
            "Reference answer: yes",
            "Before: zero-shot",
            "After: policy",
            "The first 9 characters of the answer before and the one after are the same; there the "
            "answer before ends.",
        ):
            assert words in text, words
        assert page.locator(".trace").all_text_contents() == ["It is yes", "It is yes, sure"]
        page.goto(f"{page.url.split('#')[0]}#question={GAINED}")
        page.get_by_role("heading", name=f"Question {GAINED}").wait_for()
        before = page.locator(".side").first.inner_text()
        for words in ("incorrect because it has no box", "cut at the token limit"):
            assert words in before
        assert "Its last number or letter is right in another form." in before
        after = page.locator(".side").last.inner_text()
        assert "another form" not in after


def test_further_answers_are_drawn_when_they_are_opened(tmp_path: Path) -> None:
    several = example_answers(["x"], ["no|yes 1|no 2"], ["yes|yes|yes"])
    with open_answers(tmp_path, several) as page:
        assert "before: 1 of 3 right" in page.locator("#items li").inner_text()
        page.locator("#items a").click()
        before = page.locator(".side").first
        before.locator(".trace").first.wait_for()
        assert before.locator("summary").all_text_contents() == [
            "Answer 2: correct",
            "Answer 3: incorrect",
        ]
        assert before.locator(".trace").all_text_contents() == ["no"]
        before.locator("summary").last.click()
        before.get_by_text("no 2", exact=True).wait_for()
        assert before.locator(".trace").all_text_contents() == ["no", "no 2"]


def test_markup_in_a_text_is_shown_as_text(tmp_path: Path) -> None:
    texts = list(HOSTILE.values())
    run = example_answers(texts, texts, texts)
    run = run._replace(
        before=[
            row | {"extracted": row["text"], "reason": row["text"], "gold_answer": row["text"]}
            for row in run.before
        ],
        group='"><script>window.ran = 1</script>',
    )
    with open_answers(tmp_path, run) as page:
        listed = page.locator("#items :is(script, img, iframe, svg, style, form, object)")
        assert listed.count() == 0
        page.keyboard.press("r")  # formulas as source
        page.locator("#items a").first.click()
        for number, text in enumerate(texts):
            page.get_by_role("heading", name=f"Question sums.{number}", exact=True).wait_for()
            markup = page.locator("#content :is(script, img, iframe, svg, style, a, form, object)")
            assert markup.count() == 0, text
            assert page.locator(".trace").all_text_contents() == [text, text]
            page.keyboard.press("j")
        assert page.evaluate("window.ran") is None


WIDE = example_answers(["y" * 400], ["x" * 500 + r" \[ " + "a + " * 200 + r"b \]"], ["word " * 300])


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_no_width_scrolls_horizontally(tmp_path: Path, width: int, dark: bool) -> None:
    with open_answers(tmp_path, WIDE, width=width, dark=dark) as page:
        assert horizontal_overflow(page) == 0
        page.locator("#items a").click()
        page.locator(".trace").last.wait_for()
        assert horizontal_overflow(page) == 0


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    answer_page.write(tmp_path / "answers", "zero-shot", "policy", [SUMS])
    (tmp_path / "answers/data/index.js").write_text("0;")
    with open_page(tmp_path / "answers/index.html") as (page, _errors):
        page.get_by_text("data/index.js is missing or damaged; build the page again").wait_for()
