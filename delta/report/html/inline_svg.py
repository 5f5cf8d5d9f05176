"""Put a finished figure (figures.svg) into the page, with the colours of the page."""

from pathlib import Path
from xml.etree import ElementTree

from markupsafe import Markup

from delta.report.figures.svg import BACKGROUND, GRID, INK, MUTED, NAMESPACE, SERIES

COLOURS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    BACKGROUND: "var(--card)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, start=1)},
}


def inline(path: Path, label: str) -> Markup:
    """Return the SVG file as an element of the page; `label` is its text alternative."""
    root = ElementTree.parse(path).getroot()
    root.remove(root[0])  # the style sheet, which the page's policy does not allow
    for element in root.iter():
        element.tag = element.tag.removeprefix(NAMESPACE)
        for name in ("fill", "stroke"):
            if element.get(name) in COLOURS:
                element.set(name, COLOURS[element.attrib[name]])
    for name in ("width", "height", "version", "font-family"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": label}
    return Markup(ElementTree.tostring(root, encoding="unicode"))
