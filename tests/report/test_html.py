"""The report's page: whole, safe, within a minute at paper size, and what a browser makes of it."""

import re
import time
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from delta.report import claims, html, paper
from delta.report.context import Cell, ReportContext
from delta.report.figures import data
from delta.report.html import inline_svg, markup
from tests.helpers import browser
from tests.helpers.paper_results import REAL_SIZES, paper_world
from tests.helpers.toy_results import toy_world

ATTACK = "<img src=x onerror=alert(1)>\"'&"
VOID = {"meta", "link", "br", "img"}
SHARED_S = 60  # the issue: under a minute at paper size


class Checked(HTMLParser):
    """Every end fits its start; ids, references and attributes are kept."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, content in attrs:
            self.attributes.append((tag, name, content or ""))
            if name == "id":
                self.ids.append(content or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def built(world: ReportContext, folder: Path) -> str:
    found = data.of(world)
    html.draw(found, folder)
    return html.html(world, found, claims.decide(paper.claims(), world), folder)


def checked(html: str) -> Checked:
    parser = Checked()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page at paper size: 77 runs, 12 benchmarks of 16,886 questions."""
    folder = tmp_path_factory.mktemp("page")
    target = folder / "index.html"
    target.write_text(built(paper_world(REAL_SIZES), folder), encoding="utf-8")
    return target


@pytest.fixture(scope="module")
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_is_built_within_a_minute_at_paper_size(tmp_path: Path) -> None:
    world = paper_world(REAL_SIZES)
    assert sum(map(len, world.experiments.values())) >= 60
    assert len(REAL_SIZES) == 12
    started = time.monotonic()
    built(world, tmp_path)
    assert time.monotonic() - started < SHARED_S


@pytest.mark.slow
def test_tags_fit_ids_are_unique_and_links_lead_somewhere(text: str) -> None:
    parser = checked(text)
    assert [name for name, number in Counter(parser.ids).items() if number > 1] == []
    targets = [content for _, name, content in parser.attributes if name == "href"]
    assert all(target.startswith("#") for target in targets)
    assert {target[1:] for target in targets} <= set(parser.ids)
    used = set(re.findall(r"url\(#([^)]+)\)", text))
    assert used
    assert used <= set(parser.ids)


@pytest.mark.slow
def test_the_page_has_no_script_no_style_attribute_and_nothing_from_elsewhere(text: str) -> None:
    parser = checked(text)
    names = {name for _, name, _ in parser.attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"style", "src"})
    assert "<script" not in text
    assert "default-src 'none'" in text
    outside = {one for _, _, one in parser.attributes if "://" in one}
    assert outside == set()


@pytest.mark.slow
def test_claims_with_verdict_and_the_papers_numbers_stand_on_the_page(text: str) -> None:
    said = checked(text).text
    for claim in paper.claims():
        assert claim.statement in said
    assert "✓ holds" in said
    assert "? cannot tell" in said
    assert "the paper's +1.12 is inside our interval" in said
    assert "paper: 0.96" in said
    assert "paper: 91.2" in said


@pytest.mark.slow
def test_what_comes_from_data_is_never_markup(tmp_path: Path) -> None:
    small = toy_world(easy={"base": 10, ATTACK: 20})
    marked = replace(
        small,
        models={ATTACK: small.models["base"]},
        base=ATTACK,
        groups={"sums": "easy"},
        examined={ATTACK: [{ATTACK: ATTACK, "value": 1.5}]},
        provenance=replace(small.provenance, profile=ATTACK, revisions={ATTACK: ATTACK}),
        experiments={"figure-1": [Cell({"method": ATTACK, "pairs": ATTACK}, small.models["base"])]},
        deltas=[
            {"chosen": ATTACK, "rejected": "weak", "dimension": ATTACK, "problems": 3}
            | {"delta": 1.0, "low": 0.5, "high": 1.5}
        ],
    )
    html = built(marked, tmp_path)
    assert "<img" not in html
    assert ATTACK in checked(html).text


@pytest.mark.slow
def test_a_world_in_which_nothing_ran_gives_a_page_that_says_so(tmp_path: Path) -> None:
    said = checked(built(toy_world(easy={"base": 10}), tmp_path)).text
    assert "This profile has nothing for it." in said
    assert "holds: 0" in said
    assert f"not run: {len(paper.claims())}" in said
    assert "with changes that are not committed" in said


@pytest.mark.slow
def test_runs_that_are_not_there_are_counted(tmp_path: Path) -> None:
    world = paper_world(dict.fromkeys(REAL_SIZES, 50))
    cells = [
        Cell(cell.at, None) if place < 3 else cell
        for place, cell in enumerate(world.cells("figure-2"))
    ]
    fewer = replace(world, experiments=world.experiments | {"figure-2": cells})
    said = checked(built(fewer, tmp_path)).text
    assert "3 of 12 runs are not there yet." in said
    assert "74 of 77 runs of experiments are there." in said


def test_a_number_that_is_not_there_is_a_dash() -> None:
    assert markup.tag("td", None) == "<td>–</td>"
    assert markup.tag("td", "a < b & c") == "<td>a &lt; b &amp; c</td>"
    assert markup.tag("a", "x", href='"') == '<a href="&quot;">x</a>'
    assert markup.records([{"a": 1, "b": None}], "t").count("<th ") == 2


def test_two_pictures_on_a_page_share_no_id_and_take_its_colours(tmp_path: Path) -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'width="9pt"><style>*{x: y}</style><path id="p" style="fill: #0072b2; stroke-width: 2"/>'
        '<use xlink:href="#p" clip-path="url(#p)"/><text style="font: 9px \'Serif\'">a</text></svg>'
    )
    (tmp_path / "one.svg").write_text(svg)
    assert inline_svg.inline(tmp_path / "one.svg", "A picture") == (
        '<svg role="img" aria-label="A picture" '
        'stroke-linejoin="round" stroke-linecap="butt">'
        '<path id="one-p" fill="var(--series-1)" stroke-width="2" />'
        '<use clip-path="url(#one-p)" href="#one-p" />'
        '<text font-size="9px" fill="currentColor">a</text></svg>'
    )


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [375, 1280])
def test_a_browser_shows_it_without_an_error_or_a_request(
    path: Path, width: int, dark: bool
) -> None:
    with browser.opened(path, width=width, dark=dark) as (shown, errors):
        shown.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert browser.sideways(shown) == 0
        assert shown.locator("svg[role=img]").count() == 5
        ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(13, 17, 23)" if dark else "rgb(246, 248, 250)")
        line = shown.evaluate(
            "getComputedStyle(document.querySelector('#figure-2 [stroke=\"var(--series-1)\"]'))"
            ".stroke"
        )
        number = shown.evaluate(
            "getComputedStyle([...document.querySelectorAll('#figure-5 text')]"
            ".find(one => one.textContent === '28')).fill"
        )
        assert number == "rgb(1, 1, 1)"  # on its own cell, which is light in dark mode too
        assert line == ("rgb(86, 180, 233)" if dark else "rgb(0, 114, 178)")
    assert errors == []


@pytest.mark.slow
def test_every_letter_of_a_picture_is_inside_it(path: Path) -> None:
    """Text is set in the page's font, not in the one that Matplotlib measured."""
    outside = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
        const frame = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].filter(text => {
            const box = text.getBoundingClientRect();
            return box.left < frame.left - 1 || box.right > frame.right + 1
                || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
        }).map(text => text.textContent);
    })"""
    with browser.opened(path) as (shown, _):
        assert shown.evaluate(outside) == []


@pytest.mark.slow
def test_printed_it_fits_the_width_of_a_sheet(path: Path) -> None:
    with browser.opened(path, width=794, height=1123) as (shown, errors):
        shown.emulate_media(media="print")
        assert browser.sideways(shown) == 0
    assert errors == []
