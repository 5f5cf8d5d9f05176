"""Inline a Matplotlib figure into the page, with the page's colours and unique ids.

The page's policy allows no style attributes, so they become presentation attributes.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

from markupsafe import Markup

from delta.report.figures.style import BACKGROUND, GRID, INK, MUTED, SERIES, SVG, XLINK

NAMESPACE = f"{{{SVG}}}"
HREF = f"{{{XLINK}}}href"
REFERENCE = re.compile(r"url\(#([^)]+)\)")
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
    for element in list(root.iter()):
        for child in list(element):
            is_comment = not isinstance(child.tag, str)
            if is_comment or child.tag in (f"{NAMESPACE}metadata", f"{NAMESPACE}style"):
                element.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(NAMESPACE)
        _prefix_ids(element, path.stem)
        _style_to_attributes(element)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": label}
    # These two come from the style sheet that was removed.
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _prefix_ids(element: ElementTree.Element, prefix: str) -> None:
    if "id" in element.attrib:
        element.set("id", f"{prefix}-{element.get('id')}")
    if HREF in element.attrib:
        element.set("href", f"#{prefix}-{element.attrib.pop(HREF).removeprefix('#')}")
    for name, text in element.attrib.items():
        element.set(name, REFERENCE.sub(rf"url(#{prefix}-\1)", text))


def _style_to_attributes(element: ElementTree.Element) -> None:
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, text = (part.strip() for part in declaration.partition(":"))
        if name == "font":  # the family is the page's
            size = re.search(r"[\d.]+px", text)
            element.set("font-size", size.group() if size else "10px")
        elif name:
            element.set(name, text)
    for name in ("fill", "stroke"):
        if element.get(name) in COLOURS:
            element.set(name, COLOURS[element.attrib[name]])
    if element.tag == "text" and "fill" not in element.attrib:
        element.set("fill", "currentColor")
