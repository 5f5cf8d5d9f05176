"""Render a page without its data: one file with its style and its scripts."""

from pathlib import Path

from markupsafe import Markup

from delta.report import templates

FOLDER = Path(__file__).parent / "page"
SHARED = (
    "symbols.js",  # characters of TeX commands
    "mathml.js",
    "maths.js",
    "text.js",
    "marks.js",
    "data.js",
    "trace.js",
    "controls.js",
    "viewer.js",
)
SCRIPTS = {
    "pairs": (*SHARED, "pair_list.js", "pair.js", "pairs.js"),
    "answers": (*SHARED, "question_list.js", "question.js", "answers.js"),
}


def render(name: str) -> str:
    """Return the page `name` of SCRIPTS.

    Its policy allows each of its scripts by hash, and the data files that those load
    (strict-dynamic allows this on file:// too).
    """
    style, *scripts = (
        Markup((FOLDER / file).read_text(encoding="utf-8"))
        for file in ("style.css", *SCRIPTS[name])
    )
    template = templates.load(FOLDER).get_template(f"{name}.html")
    return template.render(style=style, scripts=scripts)
