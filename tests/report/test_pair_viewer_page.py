"""The pair viewer in a real Chromium: list, filters, keys, narrow screens; no text is executed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.core.schemas import HISTORY
from delta.report import pair_viewer
from tests.helpers.browser import horizontal_overflow, open_page
from tests.helpers.example_pairs import RUN, example_pairs

pytestmark = pytest.mark.slow

HOSTILE = {
    "script": "<script>window.ran = 1; alert(1)</script>",
    "handler": '<img src=x onerror="window.ran = 1; alert(1)">',
    "closing": "</script><script>window.ran = 1</script>",
    "closing data": '");window.ran = 1;//',
    "link": '<a href="javascript:window.ran=1">x</a> [x](javascript:alert(1))',
    "frame": "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "svg": "<svg onload=window.ran=1><style>*{display:none}</style>",
    "template": "${window.ran = 1} {{window.ran = 1}} `+alert(1)+`",
    "in a formula": r"\(\text{<img src=x onerror=alert(1)>}\) $<b>x</b>$",
    "command": r"\(\href{javascript:alert(1)}{x}\) \[\class{x}{y}\]",
    "attribute": '" autofocus onfocus="window.ran=1',
    "comment": "<!-- --> ]]> <![CDATA[ x",
}
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
def open_viewer(folder: Path, run: Any, **window: Any) -> Iterator[Any]:
    """Open the viewer with these pairs; errors of scripts and console and dialogs fail the test."""
    pair_viewer.write(folder / "pairs", RUN, *run)
    with open_page(folder / "pairs" / "index.html", **window) as (page, errors):
        page.locator("#pairs li").first.wait_for()
        yield page
        assert errors == []


def ranks(page: Any) -> list[str]:
    texts: list[str] = page.locator("#pairs .rank").all_text_contents()
    return texts


TEXTS = [("one", "a"), ("two two", "b"), ("three", "c"), ("four", "d" * 50), ("five", "e")]
STATEMENTS = ["Add apples", "Count pears", r"Solve \(x^2=4\)", "Add pears", "Divide"]


def test_the_list_shows_the_selected_pairs_or_all(tmp_path: Path) -> None:
    with open_viewer(tmp_path, example_pairs(TEXTS, STATEMENTS, cut=2)) as page:
        assert ranks(page) == ["#1", "#2", "#3"]
        assert page.locator("#count").text_content() == "3 pairs"
        page.locator("select[name=why]").select_option("")
        assert ranks(page) == ["#1", "#2", "#3", "#4", "#5"]
        page.locator("select[name=why]").select_option("below the cut")
        assert ranks(page) == ["#4", "#5"]


def test_filters_and_sorting(tmp_path: Path) -> None:
    with open_viewer(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
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
    with open_viewer(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
        page.locator("#pairs a").nth(2).click()
        page.get_by_role("heading", name="Pair of rank 3").wait_for()
        text = page.locator("#content").inner_text()
        for words in (
            "p.2/strong/0>p.2/weak/0",
            "Reference answer: 3",
            "from 4, 5, 3; 1 refused",
            "Of p.2/weak/0.",
            "magic numbers",
            "because no_box; decided by grader; extracted answer: 7",
            "20 tokens, cut at the token limit",
            "5 over 1 characters",
            "+1.0",
        ):
            assert words in text, words
        assert page.locator("#content msup").count() == 1  # x² of the statement


def test_a_conversation_is_shown_turn_by_turn(tmp_path: Path) -> None:
    run = example_pairs(TEXTS, STATEMENTS)
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Plums?"}]
    history = pl.Series("history", [turns, [], [], [], []], dtype=HISTORY)
    with open_viewer(tmp_path, run._replace(problems=run.problems.with_columns(history))) as page:
        page.get_by_label("Search statements and ids").fill("plums")
        assert ranks(page) == ["#1"]
        page.locator("#pairs a").nth(0).click()
        page.get_by_role("heading", name="Pair of rank 1").wait_for()
        shown = page.locator("#content .turn")
        assert shown.locator("h3").all_text_contents() == ["system", "user", "user"]
        assert "Plums?" in shown.nth(1).inner_text()


def test_keys_and_links_open_pairs(tmp_path: Path) -> None:
    with open_viewer(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
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
    with open_viewer(tmp_path, example_pairs(TEXTS, STATEMENTS)) as page:
        page.locator("#pairs a").nth(2).click()
        page.locator("#content math").first.wait_for()
        button = page.locator("#pair").get_by_role("button", name="Formulas as source")
        button.click()
        page.locator("#content", has_text=r"Solve \(x^2=4\)").wait_for()
        assert page.locator("#content math").count() == 0
        assert button.get_attribute("aria-pressed") == "true"


def test_a_long_list_is_divided_into_pages(tmp_path: Path) -> None:
    with open_viewer(tmp_path, example_pairs([("a", "b")] * 120)) as page:
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
    with open_viewer(tmp_path, run) as page:
        assert len(ranks(page)) == len(texts)
        page.locator("#pairs a").first.click()
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
    with open_viewer(tmp_path, example_pairs([(text, "b")])) as page:
        page.locator("#pairs a").click()
        page.locator(".trace").first.wait_for()
        marks = page.locator(".trace").first.locator(".hidden-character")
        assert marks.all_text_contents() == list(HIDDEN.values())
        whole = "".join(f"{number}{name}" for number, name in enumerate(HIDDEN.values()))
        assert page.locator(".trace").first.text_content() == whole


def test_a_trace_of_50_mb_opens(tmp_path: Path) -> None:
    formulas = r"So \(x^2 = 4\) and $y = \frac{1}{2}$, then. " * 1_200_000
    with open_viewer(tmp_path, example_pairs([(formulas, "b")])) as page:
        page.locator("#pairs li").first.click()
        trace = page.locator(".trace").first
        trace.get_by_text("characters are left out here").wait_for(timeout=60_000)
        assert page.locator(".trace math").count() > 10_000


def test_an_unknown_address_is_reported(tmp_path: Path) -> None:
    with open_viewer(tmp_path, example_pairs(TEXTS)) as page:
        page.goto(page.url + "#pair=%3Cscript%3E%E0%A4%A")  # not even decodable
        page.get_by_text("There is no such pair here: %3Cscript%3E%E0%A4%A").wait_for()


def test_a_missing_or_damaged_data_file_is_named(tmp_path: Path) -> None:
    pair_viewer.write(tmp_path / "pairs", RUN, *example_pairs(TEXTS))
    file = tmp_path / "pairs" / "data" / "0.js"
    message = "data/0.js is missing or damaged; build the page again"
    for damage in (lambda: file.write_text("0;"), file.unlink):
        damage()
        with open_page(tmp_path / "pairs" / "index.html") as (page, _errors):
            page.locator("#pairs a").first.click()
            page.get_by_text(message).wait_for()


LONG = [("x" * 500 + r" \[ " + "a + " * 200 + r"b \]", "word " * 300)]


@pytest.mark.parametrize("width", [375, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_no_width_scrolls_horizontally(tmp_path: Path, width: int, dark: bool) -> None:
    with open_viewer(tmp_path, example_pairs(LONG, ["y" * 400]), width=width, dark=dark) as page:
        assert horizontal_overflow(page) == 0
        page.locator("#pairs a").click()
        page.locator(".trace").last.wait_for()
        assert horizontal_overflow(page) == 0
        boxes = [side.bounding_box() for side in page.locator(".side").all()]
        stacked = boxes[1]["y"] > boxes[0]["y"]
        assert stacked == (width < 768 + 1)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(22, 24, 27)" if dark else "rgb(255, 255, 255)")


def test_every_control_has_a_name_and_shows_its_focus(tmp_path: Path) -> None:
    with open_viewer(tmp_path, example_pairs(TEXTS)) as page:
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
    with open_viewer(tmp_path, example_pairs(TEXTS), dark=True) as page:
        page.locator("#pairs a").first.click()
        page.locator(".trace").last.wait_for()
        page.emulate_media(media="print")
        assert not page.locator(".bar").is_visible()
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
