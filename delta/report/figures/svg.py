"""Finish the SVG files of Matplotlib: unique ids, no style attributes, and colours for the dark."""

import re
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

INK = "#24292f"
MUTED = "#6e7781"
GRID = "#d8dee4"
BACKGROUND = "#ffffff"
# Distinct for readers with a colour vision deficiency (Okabe and Ito), and in grey by marker, dash
# or hatch. In dark mode other tones take the place of these, so each has one purpose.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a2457e", "#8f6b00")
DARK = {
    INK: "#e6edf3",
    MUTED: "#8b949e",
    GRID: "#30363d",
    BACKGROUND: "#161b22",
    **dict(zip(SERIES, ("#56b4e9", "#ff8c42", "#2fce9b", "#e08cc0", "#e3b341"), strict=True)),
}
SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
NAMESPACE = f"{{{SVG}}}"
HREF = f"{{{XLINK}}}href"
REFERENCE = re.compile(r"url\(#([^)]+)\)")
FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"
TITLE_HEIGHT = 24.0  # points

ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)


def finish(path: Path) -> None:
    """Rewrite the figure `path`, whose name becomes the prefix of its ids.

    A browser draws it in dark tones where the reader prefers them, also as an <img>.
    """
    root = ElementTree.parse(path).getroot()
    for element in list(root.iter()):
        for child in list(element):
            if child.tag in (f"{NAMESPACE}metadata", f"{NAMESPACE}style"):
                element.remove(child)
    for element in root.iter():
        _prefix_ids(element, path.stem)
        _style_to_attributes(element)
    # The first two come from Matplotlib's style sheet, which is removed.
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt", "font-family": FONT}
    style = Element(f"{NAMESPACE}style")
    style.text = dark_style()
    root.insert(0, style)
    path.write_text(_to_text(root), encoding="utf-8")


def dark_style() -> str:
    """Return the rules that replace every colour where the reader prefers the dark."""
    rules = " ".join(
        f'[{name}="{light}"] {{ {name}: {dark} }}'
        for light, dark in DARK.items()
        for name in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme: dark) {{ {rules} }}"


def add_title(figure: Path, title: str) -> str:
    """Return the finished SVG file `figure` under a line with its title."""
    inner = ElementTree.parse(figure).getroot()
    width, height = (float(inner.attrib[side].removesuffix("pt")) for side in ("width", "height"))
    total = height + TITLE_HEIGHT
    size = {"width": f"{width}pt", "height": f"{total}pt", "viewBox": f"0 0 {width} {total}"}
    root = Element(f"{NAMESPACE}svg", size)
    ElementTree.SubElement(root, f"{NAMESPACE}rect", width="100%", height="100%", fill=BACKGROUND)
    centre = {"x": str(width / 2), "y": "17", "text-anchor": "middle"}
    font = {"font-family": FONT, "font-size": "13", "fill": INK}
    ElementTree.SubElement(root, f"{NAMESPACE}text", centre | font).text = title
    inner.attrib |= {"y": str(TITLE_HEIGHT), "width": str(width), "height": str(height)}
    root.append(inner)
    return _to_text(root)


def _to_text(root: Element) -> str:
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _prefix_ids(element: Element, prefix: str) -> None:
    if "id" in element.attrib:
        element.set("id", f"{prefix}-{element.get('id')}")
    if HREF in element.attrib:
        element.set("href", f"#{prefix}-{element.attrib.pop(HREF).removeprefix('#')}")
    for name, text in element.attrib.items():
        element.set(name, REFERENCE.sub(rf"url(#{prefix}-\1)", text))


def _style_to_attributes(element: Element) -> None:
    """Replace the style attribute, over which a style sheet could not win."""
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, text = (part.strip() for part in declaration.partition(":"))
        if name == "font":  # the family is that of the whole figure
            size, weight = re.search(r"[\d.]+px", text), re.match(r"(bold|\d{3}) ", text)
            element.set("font-size", size.group() if size else "10px")
            if weight:
                element.set("font-weight", weight[1])
        elif name:
            element.set(name, text)
    if element.tag == f"{NAMESPACE}text" and "fill" not in element.attrib:
        element.set("fill", INK)
