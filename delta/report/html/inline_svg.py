"""A picture of Matplotlib as part of the page: its colours follow the page, its ids are its own.

The page allows no style attributes (its policy names one style sheet), so they become plain ones.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

from delta.report.figures.style import GRID, INK, MUTED, PAPER, SERIES
from delta.report.html.markup import Html

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
REFERENCE = re.compile(r"url\(#([^)]+)\)")
COLOURS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    PAPER: "var(--card)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, start=1)},
}


def inline(path: Path, label: str) -> Html:
    """`label` is what is said in place of the picture."""
    root = ElementTree.parse(path).getroot()
    for element in list(root.iter()):
        for child in list(element):
            if child.tag in (f"{SVG}metadata", f"{SVG}style") or not isinstance(child.tag, str):
                element.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        _own_ids(element, path.stem)
        _plain_style(element)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": label}
    # What the removed style sheet said of every element.
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    return Html(ElementTree.tostring(root, encoding="unicode"))


def _own_ids(element: ElementTree.Element, name: str) -> None:
    if "id" in element.attrib:
        element.set("id", f"{name}-{element.get('id')}")
    if HREF in element.attrib:
        element.set("href", f"#{name}-{element.attrib.pop(HREF).removeprefix('#')}")
    for key, text in element.attrib.items():
        element.set(key, REFERENCE.sub(rf"url(#{name}-\1)", text))


def _plain_style(element: ElementTree.Element) -> None:
    for part in element.attrib.pop("style", "").split(";"):
        key, _, text = (one.strip() for one in part.partition(":"))
        if key == "font":  # the family is the page's
            size = re.search(r"[\d.]+px", text)
            element.set("font-size", size.group() if size else "10px")
        elif key:
            element.set(key, text)
    for key in ("fill", "stroke"):
        if element.get(key) in COLOURS:
            element.set(key, COLOURS[element.attrib[key]])
    if element.tag == "text" and "fill" not in element.attrib:
        element.set("fill", "currentColor")
