"""The report: one HTML file that needs nothing but itself, no script and no network."""

import base64
import hashlib
from pathlib import Path

from delta.core.types import Row
from delta.report import paper
from delta.report.claims import ClaimResult
from delta.report.context import ReportContext
from delta.report.figures import paper as pictures
from delta.report.html import claims, sections, tables
from delta.report.html.markup import Html, tag

STYLE = Path(__file__).parent / "style.css"
TITLE = "Decomposing the Delta: every table and figure again"
DRAWN = {
    "figure-1": pictures.figure_1,
    "figure-2": pictures.figure_2,
    "figure-3": pictures.figure_3,
    "figure-4": pictures.figure_4,
    "figure-5": pictures.figure_5,
}
PARTS = {
    "claims": "Claims",
    "table-1": "Table 1",
    "table-2": "Table 2",
    **{name: name.replace("-", " ").capitalize() for name in DRAWN},
    "controls": "Controls",
    "judge": "The judge",
    "made": "How it was made",
}


def draw(rows: dict[str, list[Row]], target: Path) -> None:
    """The paper's five figures as SVG and PNG."""
    for name, picture in DRAWN.items():
        picture(rows[name], target)


def html(
    world: ReportContext, rows: dict[str, list[Row]], decided: list[ClaimResult], drawn: Path
) -> str:
    """The whole page. `rows`: those of figures.data.of; `drawn`: where `draw` has drawn."""
    printed = paper.numbers()
    body = [
        _header(world, decided),
        _claims(decided),
        tables.table_1(world, rows["table-1"], decided, printed["table-1"]),
        tables.table_2(world, decided, printed["table-2"]),
        *[sections.figure(name, world, rows[name], decided, drawn) for name in DRAWN],
        sections.controls(world, rows["controls"], decided),
        sections.judge(world),
        sections.made(world),
    ]
    return f"<!DOCTYPE html>\n{_document(tag('main', *body))}\n"


def _document(body: Html) -> Html:
    style = STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{TITLE}</title><style>{style}</style>"
    )
    return tag("html", tag("head", Html(head)), tag("body", body), lang="en")


def _header(world: ReportContext, decided: list[ClaimResult]) -> Html:
    origin = world.provenance
    links = [tag("a", name, href=f"#{part}") for part, name in PARTS.items()]
    return tag(
        "header",
        tag("h1", TITLE),
        tag(
            "p",
            "The experiments of “Decomposing the Delta: What Do Models Actually Learn from "
            f"Preference Pairs?” (arXiv 2604.08723) run with {origin.profile}, base {world.base}, "
            f"on {origin.date}.",
        ),
        claims.counted(decided),
        tag("nav", *links),
    )


def _claims(decided: list[ClaimResult]) -> Html:
    ours = [one for one in decided if one.claim.family != "controls"]
    more = [one for one in decided if one.claim.family == "controls"]
    return tag(
        "section",
        tag("h2", "What the paper claims, and what holds here"),
        tag(
            "p",
            "Each verdict comes from a fixed rule, which stands with its numbers behind the "
            "triangle. Cannot tell: more questions could decide it either way. Where a claim has "
            "several parts, all must hold, and the weakest is shown.",
        ),
        tag(
            "p",
            "Intervals are over the questions asked. Each run was trained once; how far another "
            "training seed moves a score stands under Controls.",
        ),
        claims.table(ours, "The paper's claims"),
        claims.table(more, "What the paper takes for granted and did not test"),
        id="claims",
    )
