"""The report page: its structure, its safety, its build time, and how a browser shows it."""

import re
import time
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from delta.experiments.results import Result
from delta.report import templates
from delta.report.claims.formatting import SYMBOLS
from delta.report.context import Run
from delta.report.example import ShownAnswer, shorten
from delta.report.figures import data
from delta.report.html import filters, page
from delta.report.paper.claims import read_claims
from tests.helpers.adversarial_texts import TEXTS
from tests.helpers.browser import horizontal_overflow, open_page
from tests.helpers.paper_results import REAL_SIZES, paper_context
from tests.helpers.this_run import draw_figures, render_page
from tests.helpers.toy_results import model_scores, toy_context

ATTACK = "<img src=x onerror=alert(1)>\"'&"
VOID = {"meta", "link", "br", "img"}
PICTURES = (  # the paper has no results for the other further figures
    *("this-run", "accuracy", "training", "deltas"),
    *(f"figure-{n}" for n in range(1, 6)),
    "outcome-quality",  # of figure 3's runs
)
LIMIT_S = 60  # to build the page at paper size


class PageParser(HTMLParser):
    """Collects ids, attributes and text; every end tag must match its start tag."""

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


def parse(html: str) -> PageParser:
    parser = PageParser()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the page at paper size: 126 runs, 12 benchmarks of 16,886 questions."""
    folder = tmp_path_factory.mktemp("page")
    path = folder / "index.html"
    path.write_text(render_page(paper_context(REAL_SIZES), folder), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_is_built_within_a_minute_at_paper_size(tmp_path: Path) -> None:
    context = paper_context(REAL_SIZES)
    assert sum(map(len, context.experiments.values())) >= 60
    assert len(REAL_SIZES) == 12
    started = time.monotonic()
    render_page(context, tmp_path)
    assert time.monotonic() - started < LIMIT_S


@pytest.mark.slow
def test_tags_match_ids_are_unique_and_links_have_targets(text: str) -> None:
    parser = parse(text)
    assert [name for name, number in Counter(parser.ids).items() if number > 1] == []
    targets = {content for _, name, content in parser.attributes if name == "href"}
    inside = {target[1:] for target in targets if target.startswith("#")}
    assert inside <= set(parser.ids)
    changed = {
        f"answers/index.html#benchmark={benchmark}&kind={kind}"
        for benchmark in REAL_SIZES
        for kind in ("gained", "lost")
    }
    outside = {target for target in targets if not target.startswith("#")}
    pairs = {"pairs/index.html", "pairs/index.html#order=strategy_coherence&descending=yes"}
    assert outside == changed | pairs | {"answers/index.html", "../data/"}
    references = set(re.findall(r"url\(#([^)]+)\)", text))
    assert references
    assert references <= set(parser.ids)


@pytest.mark.slow
def test_the_page_has_no_script_no_style_attribute_and_no_outside_address(text: str) -> None:
    parser = parse(text)
    names = {name for _, name, _ in parser.attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"style", "src"})
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert {content for _, _, content in parser.attributes if "://" in content} == set()


@pytest.mark.slow
def test_the_page_shows_claims_with_verdicts_and_the_papers_numbers(text: str) -> None:
    words = parse(text).text
    for claim in read_claims():
        assert claim.statement in words
    assert "✓ holds" in words
    assert "? cannot tell" in words
    assert "the paper's +1.12 is inside our interval" in words
    assert "paper: 0.96" in words
    assert "paper: 91.2" in words


@pytest.mark.slow
def test_text_from_data_is_never_markup(tmp_path: Path) -> None:
    small = toy_context({"base": 10})
    hostile = replace(
        small,
        models={ATTACK: small.models["base"]},
        base=ATTACK,
        groups={"sums": "easy"},
        analysis={ATTACK: [{ATTACK: ATTACK, "value": 1.5}]},
        provenance=replace(small.provenance, profile=ATTACK, revisions={ATTACK: ATTACK}),
        experiments={"figure-1": [Run({"method": ATTACK, "pairs": ATTACK}, model_scores(20))]},
        deltas=[
            {"chosen": ATTACK, "rejected": "weak", "dimension": ATTACK, "problems": 3}
            | {"delta": 1.0, "low": 0.5, "high": 1.5}
        ],
    )
    html = render_page(hostile, tmp_path)
    assert "<img" not in html
    assert ATTACK in parse(html).text


@pytest.mark.slow
def test_the_page_says_that_nothing_has_run(tmp_path: Path) -> None:
    words = parse(render_page(toy_context({"base": 10}), tmp_path)).text
    assert "make experiment NAME=figure-1" not in words  # the toy profile has no runs
    assert "Figure 1: the profile has no runs or too few pairs for it" in words
    counts = {
        verdict: int(words.partition(f"{symbol} {verdict}: ")[2].split()[0])
        for verdict, symbol in SYMBOLS.items()
    }
    assert counts["holds"] == counts["does not hold"] == counts["cannot tell"] == 0
    # Of some claims the toy profile has no benchmark: no run would change that.
    assert counts["not run"] > counts["not testable here"] > 0
    assert counts["not run"] + counts["not testable here"] == len(read_claims())
    assert "with uncommitted changes" in words
    assert "There are none yet. An entry of your own" in words


@pytest.mark.slow
def test_only_entries_of_the_paper_are_put_into_words(tmp_path: Path) -> None:
    """What a reader named `no_box` is not what the page calls so."""
    context = toy_context({"base": 10})
    runs = [Run({"kind": "no_box"}, model_scores(20))]
    both = replace(context, experiments={"mine": runs, "full": runs})
    words = " ".join(parse(render_page(both, tmp_path)).text.split())
    tables = words.partition("Your experiments")[2]
    own, _, of_paper = tables.partition("Every training of the paper")
    assert "no_box" in own
    assert "no box around the answer" not in own
    assert "no box around the answer" in of_paper.partition("What the paper claims")[0]


@pytest.mark.slow
def test_only_runs_of_others_have_the_command_that_runs_them_here(tmp_path: Path) -> None:
    """`make experiment` does not repeat what was made here."""
    context = toy_context({"base": 10})
    scores = model_scores(20)
    date, counts = "2026-11-30", {"select": {"selected": 8}}
    result = Result("k", "mine-8", {}, "c" * 7, date, 60, counts, scores.scores, scores.answers)
    context = replace(context, experiments={"mine": [Run({"k": "8"}, result)]})
    command = "make experiment NAME=mine FORCE=1"
    words = " ".join(parse(render_page(context, tmp_path)).text.split())
    assert f"1 run came with the repository: commit {'c' * 7}; {date}; " in words
    assert f"Run here: {command}" in words
    here = replace(context.provenance, made_here=frozenset({"mine-8"}))
    words = " ".join(parse(render_page(replace(context, provenance=here), tmp_path)).text.split())
    assert f"1 run made here: commit {'c' * 7}; {date}; " in words
    assert command not in words


@pytest.mark.slow
def test_pairs_that_are_matched_in_length_have_no_cut(tmp_path: Path) -> None:
    """The counts at the cut are of the pairs that they are matched with."""
    context = toy_context({"base": 10})
    assert "Ties at the cut." in parse(render_page(context, tmp_path)).text
    selector = context.this_run.selector | {"mode": "length_matched"}
    matched = replace(context, this_run=replace(context.this_run, selector=selector))
    words = parse(render_page(matched, tmp_path)).text
    assert "Ties at the cut." not in words
    assert "The mean delta of the selected pairs is 3.60." in words


@pytest.mark.slow
def test_runs_that_were_asked_other_questions_have_no_difference(tmp_path: Path) -> None:
    context = toy_context({"base": 10})
    harder = model_scores(20)
    harder.scores["sums"]["benchmark_version"] = "2"
    results = {"same": model_scores(20), "harder": harder}
    runs = [Run({"questions": name}, result) for name, result in results.items()]
    words = parse(render_page(replace(context, experiments={"mine": runs}), tmp_path)).text
    _, same, other = words.partition("Experiment mine")[2].split("50.0 [35.2, 64.8]")
    assert same.split()[0] == "+25.0"  # 20 − 10 of 40 questions
    assert other.split()[:5] == ["other", "questions", "than", "the", "base"]


@pytest.mark.slow
def test_scores_of_cut_answers_are_marked_wherever_the_page_shows_them(tmp_path: Path) -> None:
    # The base lost 72.5% of its answers to "sums" to the limit; the run of the experiment 4 of 40.
    context = toy_context({"base": 10, "mine": 20})
    for name, result in (
        ("base", context.models["base"]),
        ("mine", context.runs("figure-1")[0][1]),
    ):
        assert result is not None
        result.scores["sums"]["truncated"] = 29 if name == "base" else 4
    context = replace(context, experiments={"mine": context.runs("figure-1")})
    words = " ".join(parse(render_page(context, tmp_path)).text.split())
    assert "Cut answers. Base: † cut at the token limit: sums 72%. A higher limit may" in words
    compared, own, table_2 = (
        words.partition(title)[2]
        for title in ("The policy against the base", "Experiment mine", "Models as released")
    )
    assert "20.0 [10.0, 30.0] † 50.0 [40.0, 60.0] +30.0" in compared
    # 20 of 40 right and 4 cut; the difference rests on the base's answers too.
    assert re.match(r".*?50\.0 \[[^]]*\] † \+25\.0 \[[^]]*\] †", own)
    assert re.match(r".*?base \(base\) 25\.0 \[[^]]*\] †", table_2)
    assert words.count("† More than 5% of the answers behind this number were cut") == 3


@pytest.mark.slow
def test_the_page_says_how_the_training_ended_and_warns_of_a_rounded_update(tmp_path: Path) -> None:
    context = toy_context({"base": 10})
    run = context.this_run
    counts = {"max_steps": 16, "update_served": {"float32": 1.0, "bfloat16": 0.11}}
    for dtype, warns in (("float32", False), ("bfloat16", True)):
        settings = run.training_settings._replace(dtype=dtype)
        changed = replace(run, training=run.training | counts, training_settings=settings)
        page_ = render_page(replace(context, this_run=changed), tmp_path)
        words = " ".join(parse(page_).text.split())
        assert "It made all of its 16 steps; no rule stops it before." in words
        assert "The margin before the first update is not recorded." in words
        share = "11.0%" if warns else "100.0%"
        assert f"Served in {dtype}, the policy has {share} of the update." in words
        said = "The update is rounded away. Less than 90% of it is left in bfloat16"
        assert (said in words) is warns


@pytest.mark.slow
def test_the_page_counts_missing_runs(tmp_path: Path) -> None:
    context = paper_context(dict.fromkeys(REAL_SIZES, 50))
    runs = [
        Run(run.axes, None) if place < 3 else run
        for place, run in enumerate(context.runs("figure-2"))
    ]
    fewer = replace(context, experiments=context.experiments | {"figure-2": runs})
    words = parse(render_page(fewer, tmp_path)).text
    every = sum(map(len, context.experiments.values()))
    assert f"3 of {len(runs)} runs are missing." in words
    assert f"{every - 3} of {every} runs of experiments have a result." in words


def render_text(source: str, value: object) -> str:
    return templates.load(page.FOLDER).from_string(source).render(value=value)


def test_a_template_escapes_values_and_shows_none_as_a_dash() -> None:
    assert render_text("<td>{{ value }}</td>", None) == "<td>–</td>"
    assert render_text("<td>{{ value }}</td>", "a < b & c") == "<td>a &lt; b &amp; c</td>"
    assert render_text('<a href="{{ value }}">x</a>', '"') == '<a href="&#34;">x</a>'


def test_columns_without_a_value_are_left_out() -> None:
    assert filters.columns_with_values([{"a": 1, "b": None}, {"a": None, "b": None}]) == ["a"]


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [375, 1280])
def test_a_browser_shows_the_page_without_errors_or_requests(
    path: Path, width: int, dark: bool
) -> None:
    with open_page(path, width=width, dark=dark) as (tab, errors):
        tab.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        assert horizontal_overflow(tab) == 0
        assert tab.locator("svg[role=img]").count() == len(PICTURES)
        background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(13, 17, 23)" if dark else "rgb(246, 248, 250)")
        line = tab.evaluate(
            "getComputedStyle(document.querySelector('#figure-2 [stroke=\"var(--series-1)\"]'))"
            ".stroke"
        )
        number = tab.evaluate(
            "getComputedStyle([...document.querySelectorAll('#figure-5 text')]"
            ".find(text => text.textContent === '28')).fill"
        )
        assert number == "rgb(1, 1, 1)"  # on its own cell, which is light in dark mode too
        assert line == ("rgb(86, 180, 233)" if dark else "rgb(0, 114, 178)")
    assert errors == []


@pytest.mark.slow
def test_a_browser_shows_any_answer_as_text(tmp_path: Path) -> None:
    context = toy_context({"base": 10})
    run = context.this_run
    assert run.example is not None
    file = tmp_path / "index.html"
    file.write_text("")
    titles, rows = draw_figures(context, tmp_path), data.build_rows(context)
    with open_page(file) as (tab, errors):
        for name, text in TEXTS.items():
            answer = ShownAnswer(shorten(text), text[:20], text[:20], "stop")
            example = run.example._replace(statement=shorten(text), base=answer)
            hostile = replace(context, this_run=replace(run, example=example))
            file.write_text(page.render(hostile, rows, [], titles, tmp_path))
            tab.reload()
            assert tab.evaluate("window.owned") is None, name
            assert tab.locator("h2").count() > 10, name
            if shown := " ".join(shorten(text).split()):
                words = " ".join(tab.locator(".answer blockquote").first.inner_text().split())
                assert words == shown, name
    assert errors == []


@pytest.mark.slow
def test_all_text_of_a_picture_is_inside_it(path: Path) -> None:
    """The page's font is not the one that Matplotlib measured."""
    outside = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
        const frame = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].filter(text => {
            const box = text.getBoundingClientRect();
            return box.left < frame.left - 1 || box.right > frame.right + 1
                || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
        }).map(text => text.textContent);
    })"""
    with open_page(path) as (tab, _):
        assert tab.evaluate(outside) == []


@pytest.mark.slow
def test_the_printed_page_fits_the_width_of_a_sheet(path: Path) -> None:
    with open_page(path, width=794, height=1123) as (tab, errors):
        tab.emulate_media(media="print")
        assert horizontal_overflow(tab) == 0
    assert errors == []
