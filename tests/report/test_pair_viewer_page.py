"""The pair viewer in a real Chromium: list, filters, keys, narrow screens; no text is executed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.core.schemas import HISTORY
from delta.report.viewer import pair_page
from tests.helpers.browser import horizontal_overflow, open_page
from tests.helpers.example_pairs import RUN, example_pairs
from tests.helpers.viewer_pages import HOSTILE, open_viewer

pytestmark = pytest.mark.slow

HIDDEN = {
    "\u202e": "U+202E",
    "\u2066": "U+2066",
    "\u200f": "U+200F",
    "\u0000": "U+0000",
    "\u001b": "U+001B",
    "\u2028": "U+2028",
    "\u200b": "U+200B",
    "\ufeff": "U+FEFF",
}


@contextmanager
def open_pairs(folder: Path, run: Any, **window: Any) -> Iterator[Any]:
    """Open the page of these pairs."""
    pair_page.write(folder / "pairs", RUN, *run)
    with open_viewer(folder / "pairs", **window) as page:
        yield page


def ranks(page: Any) -> list[str]:
    texts: list[str] = page.locator("#items .rank").all_text_contents()
    return texts


TEXTS = [("one", "a"), ("two two", "b"), ("three", "c"), ("four", "d" * 50), ("five", "e")]
STATEMENTS = ["Add apples", "Count pears", r"Solve \(x^2=4\)", "Add pears", "Divide"]


def test_the_list_shows_the_selected_pairs_or_all(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS, STATEMENTS, cut=2)) as page:
        assert ranks(page) == ["#1", "#2", "#3"]
        assert page.locator("#count").text_content() == "3 pairs"
        page.locator("select[name=why]").select_option("")
        assert ranks(page) == ["#1", "#2", "#3", "#4", "#5"]
        page.locator("select[name=why]").select_option("below the cut")
        assert ranks(page) == ["#4", "#5"]


def test_filters_and_sorting(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
        search = page.get_by_label("Search statements and ids")
        search.fill("PEARS add")
        assert ranks(page) == ["#4"]
        search.fill("p.2/strong")
        assert ranks(page) == ["#3"]
        search.fill("")
        page.get_by_label("Verdicts").select_option("correct > ungradable")
        assert ranks(page) == ["#2", "#4"]
        page.get_by_role("button", name="Reset").click()
        page.get_by_label("delta at least").fill("0.5")  # deltas are -1, 0, 1, 2, 3
        assert ranks(page) == ["#3", "#4", "#5"]
        page.get_by_label("delta at most").fill("2")
        assert ranks(page) == ["#3", "#4"]
        page.get_by_label("which length").select_option("rejected_length")
        page.get_by_label("length at least").fill("50")
        assert ranks(page) == ["#4"]
        page.get_by_role("button", name="Reset").click()
        page.get_by_label("Sort by").select_option("chosen_length")
        assert ranks(page) == ["#1", "#4", "#5", "#3", "#2"]  # 3, 4, 4, 5, 7 characters
        page.get_by_label("largest first").check()
        assert ranks(page) == ["#2", "#3", "#4", "#5", "#1"]


def test_a_pair_shows_problem_ratings_verdicts_and_lengths(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
        page.locator("#items a").nth(2).click()
        page.get_by_role("heading", name="Pair of rank 3").wait_for()
        text = page.locator("#content").inner_text()
        for words in (
            "p.2/strong/0>p.2/weak/0",
            "Reference answer: 3",
            "from 4, 5, 3; 1 refused",
            "Of p.2/weak/0.",
            "magic numbers",
            "because it has no box; decided by grader; extracted answer: 7",
            "20 tokens, cut at the token limit",
            "5 over 1 characters",
            "+1.0",
        ):
            assert words in text, words
        assert page.locator("#content msup").count() == 1  # x² of the statement


def test_the_texts_come_before_the_ratings(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
        page.locator("#items a").nth(2).click()
        page.get_by_role("heading", name="Pair of rank 3").wait_for()
        headings = page.locator("#content h2").all_text_contents()
        assert headings == ["Problem", "Chosen: strong", "Rejected: weak", "Ratings"]


def test_dimensions_without_a_delta_are_folded(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
        page.locator("#items a").nth(2).click()  # deltas: factuality +1, step coherence 0
        page.locator("table.ratings").first.wait_for()
        seen = [row for row in page.locator("tbody tr").all() if row.is_visible()]
        assert [row.locator("th").text_content() for row in seen] == ["factuality"]
        folded = page.get_by_text("Without a delta: step coherence")
        folded.click()
        assert page.locator("details tbody tr").is_visible()
        page.keyboard.press("k")  # rank 2 has no delta at all
        page.get_by_text("Without a delta: factuality, step coherence").wait_for()
        assert page.locator("#content > section > table").count() == 0


@pytest.mark.parametrize(
    ("chosen", "rejected", "place", "line"),
    [
        ("So 2 + 2 = 41.", "So 2 + 2 = 42.", 11, "they part in line 1, at the mark"),
        ("One.\nTwo is right", "One.\nTwo was right", 9, "they part in line 2, at the mark"),
        ("Same", "Same and more", 4, "there the chosen trace ends"),
        ("Same\nend", "Same", 4, "there the rejected one ends"),
        ("🙂🙃", "🙂🙂", None, "differ from the first word"),
        ("a", "b", None, "differ from the first word"),
        ("same", "same", None, "are the same text"),
        (r"so \(x + 1\) is 2", r"so \(x + 2\) is 2", 3, "they part in line 1, at the mark"),
    ],
)
def test_a_mark_shows_where_the_traces_part(
    tmp_path: Path, chosen: str, rejected: str, place: int | None, line: str
) -> None:
    """`place` is the number of characters before the mark; a formula is marked as a whole."""
    with open_pairs(tmp_path, example_pairs([(chosen, rejected)])) as page:
        page.locator("#items a").click()
        page.get_by_text(line).wait_for()
        for trace in page.locator(".trace").all():
            before = trace.evaluate(
                """trace => {
                    const mark = trace.querySelector(".parting");
                    if (!mark) return null;
                    const range = document.createRange();
                    range.setStart(trace, 0);
                    range.setEndBefore(mark);
                    return range.toString().length;
                }"""
            )
            assert before == place
        assert "the texts part here" not in page.locator(".trace").first.text_content()


def test_the_steps_that_the_judge_named_are_marked_and_listed(tmp_path: Path) -> None:
    trace = r"First 3 + 4 = 8. Then \(8 \cdot 2 = 16\). Step by step."
    run = example_pairs([("Fine.", trace)])
    is_rejected = pl.col("trace_id") == "p.0/weak/0"
    is_factuality = pl.col("dimension") == "factuality"
    note = (
        pl.when(is_rejected & is_factuality)
        .then(pl.lit("It says “3 + 4 = 8”."))
        .when(is_rejected)
        .then(pl.lit(r"Nothing supports “\(8 \cdot 2”."))
        .otherwise(pl.lit("Good."))
    )
    ratings = run.ratings.with_columns(justification=note)
    with open_pairs(tmp_path, run._replace(ratings=ratings)) as page:
        page.locator("#items a").click()
        rejected = page.locator(".side").last
        rejected.locator("mark").first.wait_for()
        assert page.locator(".side").first.locator("mark").count() == 0
        marks = rejected.locator("mark")
        assert marks.first.text_content() == "3 + 4 = 8"
        assert marks.last.locator("math").count() == 1
        assert [mark.get_attribute("data-number") for mark in marks.all()] == ["1", "2"]
        assert rejected.locator(".named-steps li").all_text_contents() == [
            "factuality: It says “3 + 4 = 8”.",
            r"step coherence: Nothing supports “\(8 \cdot 2”.",
        ]
        page.keyboard.press("r")
        page.locator(".trace", has_text=trace).wait_for()  # marks add nothing to the text
        assert rejected.locator(".trace").text_content() == trace


def test_an_address_sorts_by_a_dimension(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
        page.goto(page.url + "#order=factuality&descending=yes")
        page.locator("#items li", has_text="#5").first.wait_for()
        assert ranks(page) == ["#5", "#4", "#3", "#2", "#1"]


def test_a_conversation_is_shown_turn_by_turn(tmp_path: Path) -> None:
    run = example_pairs(TEXTS, STATEMENTS)
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Plums?"}]
    history = pl.Series("history", [turns, [], [], [], []], dtype=HISTORY)
    with open_pairs(tmp_path, run._replace(problems=run.problems.with_columns(history))) as page:
        page.get_by_label("Search statements and ids").fill("plums")
        assert ranks(page) == ["#1"]
        page.locator("#items a").nth(0).click()
        page.get_by_role("heading", name="Pair of rank 1").wait_for()
        shown = page.locator("#content .turn")
        assert shown.locator("h3").all_text_contents() == ["system", "user", "user"]
        assert "Plums?" in shown.nth(1).inner_text()


def test_keys_and_links_open_pairs(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
        address = page.url + "#pair=p.1%2Fstrong%2F0%3Ep.1%2Fweak%2F0"
        page.goto(address)
        page.get_by_role("heading", name="Pair of rank 2").wait_for()
        for key, rank in (("j", 3), ("ArrowRight", 4), ("k", 3), ("ArrowLeft", 2)):
            page.keyboard.press(key)
            heading = page.get_by_role("heading", name=f"Pair of rank {rank}")
            heading.wait_for()
            assert heading.evaluate("heading => heading === document.activeElement")
        assert page.url == address
        page.keyboard.press("Escape")
        assert len(ranks(page)) == 5
        page.keyboard.press("/")
        page.keyboard.type("jk")  # no command inside a field
        assert page.get_by_label("Search statements and ids").input_value() == "jk"


def test_the_button_switches_between_formulas_and_source(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
        page.locator("#items a").nth(2).click()
        page.locator("#content math").first.wait_for()
        button = page.locator("#item").get_by_role("button", name="Formulas as source")
        button.click()
        page.locator("#content", has_text=r"Solve \(x^2=4\)").wait_for()
        assert page.locator("#content math").count() == 0
        assert button.get_attribute("aria-pressed") == "true"


def test_a_long_list_is_divided_into_pages(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs([("a", "b")] * 120)) as page:
        assert len(ranks(page)) == 50
        page.get_by_role("button", name="Next page").first.click()
        page.get_by_role("button", name="Next page").first.click()
        assert ranks(page)[0] == "#101"
        assert len(ranks(page)) == 20
        assert page.get_by_role("button", name="Next page").first.is_disabled()


def test_markup_in_a_text_is_shown_as_text(tmp_path: Path) -> None:
    texts = list(HOSTILE.values())
    run = example_pairs([(text, text) for text in texts], texts)
    text_of_problem = pl.col("problem_id").replace_strict(run.problems["problem_id"], texts)
    text_of_trace = (
        pl.col("trace_id").str.replace("/.*", "").replace_strict(run.problems["problem_id"], texts)
    )
    run = run._replace(
        problems=run.problems.with_columns(gold_answer=text_of_problem, source=text_of_problem),
        verdicts=run.verdicts.with_columns(extracted=text_of_trace, reason=text_of_trace),
        ratings=run.ratings.with_columns(
            justification=text_of_trace, deductions=pl.concat_list(text_of_trace)
        ),
    )
    with open_pairs(tmp_path, run) as page:
        assert len(ranks(page)) == len(texts)
        page.locator("#items a").first.click()
        for number, text in enumerate(texts):
            page.get_by_role("heading", name=f"Pair of rank {number + 1}", exact=True).wait_for()
            markup = page.locator("#content :is(script, img, iframe, svg, style, a, form, object)")
            assert markup.count() == 0, text
            page.keyboard.press("r")  # formulas as source
            page.locator(".trace", has_text=text).last.wait_for()
            assert page.locator(".trace").last.text_content() == text
            assert text in page.locator("td").last.text_content()
            page.keyboard.press("r")
            page.keyboard.press("j")
        assert page.evaluate("window.ran") is None


def test_hidden_characters_are_made_visible(tmp_path: Path) -> None:
    text = "".join(f"{number}{hidden}" for number, hidden in enumerate(HIDDEN))
    with open_pairs(tmp_path, example_pairs([(text, "b")])) as page:
        page.locator("#items a").click()
        page.locator(".trace").first.wait_for()
        marks = page.locator(".trace").first.locator(".hidden-character")
        assert marks.all_text_contents() == list(HIDDEN.values())
        whole = "".join(f"{number}{name}" for number, name in enumerate(HIDDEN.values()))
        assert page.locator(".trace").first.text_content() == whole


def test_a_trace_of_50_mb_opens(tmp_path: Path) -> None:
    formulas = r"So \(x^2 = 4\) and $y = \frac{1}{2}$, then. " * 1_200_000
    with open_pairs(tmp_path, example_pairs([(formulas, "b")])) as page:
        page.locator("#items li").first.click()
        trace = page.locator(".trace").first
        trace.get_by_text("characters are left out here").wait_for(timeout=60_000)
        assert page.locator(".trace math").count() > 10_000


def test_an_unknown_address_is_reported(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS)) as page:
        page.goto(page.url + "#pair=%3Cscript%3E%E0%A4%A")  # not even decodable
        page.get_by_text("There is no such pair here: <script>").wait_for()


def test_a_missing_or_damaged_data_file_is_named(tmp_path: Path) -> None:
    pair_page.write(tmp_path / "pairs", RUN, *example_pairs(TEXTS))
    file = tmp_path / "pairs" / "data" / "0.js"
    message = "data/0.js is missing or damaged; build the page again"
    for damage in (lambda: file.write_text("0;"), file.unlink):
        damage()
        with open_page(tmp_path / "pairs" / "index.html") as (page, _errors):
            page.locator("#items a").first.click()
            page.get_by_text(message).wait_for()


LONG = [("x" * 500 + r" \[ " + "a + " * 200 + r"b \]", "word " * 300)]


@pytest.mark.parametrize("width", [375, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_no_width_scrolls_horizontally(tmp_path: Path, width: int, dark: bool) -> None:
    with open_pairs(tmp_path, example_pairs(LONG, ["y" * 400]), width=width, dark=dark) as page:
        assert horizontal_overflow(page) == 0
        page.locator("#items a").click()
        page.locator(".trace").last.wait_for()
        assert horizontal_overflow(page) == 0
        boxes = [side.bounding_box() for side in page.locator(".side").all()]
        stacked = boxes[1]["y"] > boxes[0]["y"]
        assert stacked == (width < 768 + 1)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(22, 24, 27)" if dark else "rgb(255, 255, 255)")


def test_every_control_has_a_name_and_shows_its_focus(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS)) as page:
        unnamed = page.evaluate(
            """[...document.querySelectorAll("input, select, button")].filter(control =>
                !control.getAttribute("aria-label") && !control.labels?.length
                && !control.textContent.trim()
            ).map(control => control.name || control.id)"""
        )
        assert unnamed == []
        page.keyboard.press("Tab")
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid"


def test_a_printed_pair_has_no_controls(tmp_path: Path) -> None:
    with open_pairs(tmp_path, example_pairs(TEXTS), dark=True) as page:
        page.locator("#items a").first.click()
        page.locator(".trace").last.wait_for()
        page.emulate_media(media="print")
        assert not page.locator(".bar").is_visible()
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
