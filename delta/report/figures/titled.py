"""The page's figures as pictures that stand alone, for `dvc plots show`."""

from pathlib import Path
from xml.etree import ElementTree

from delta.report.figures.style import INK, PAPER

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
TITLE_HEIGHT = 24.0  # points


def with_title(figure: Path, title: str) -> str:
    """Return the SVG file `figure` under a line with its title."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    inner = ElementTree.parse(figure).getroot()
    width, height = (float(inner.attrib[side].removesuffix("pt")) for side in ("width", "height"))
    total = height + TITLE_HEIGHT
    size = {"width": f"{width}pt", "height": f"{total}pt", "viewBox": f"0 0 {width} {total}"}
    root = ElementTree.Element(f"{{{SVG}}}svg", size)
    ElementTree.SubElement(root, f"{{{SVG}}}rect", width="100%", height="100%", fill=PAPER)
    centre = {"x": str(width / 2), "y": "17", "text-anchor": "middle"}
    font = {"font-family": "sans-serif", "font-size": "13", "fill": INK}
    ElementTree.SubElement(root, f"{{{SVG}}}text", centre | font).text = title
    inner.attrib |= {"y": str(TITLE_HEIGHT), "width": str(width), "height": str(height)}
    root.append(inner)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
