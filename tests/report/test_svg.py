"""A picture is a file that a browser draws in the reader's light or dark, and part of the page."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from delta.report.figures import svg
from delta.report.html.inline_svg import inline
from tests.helpers.browser import open_page

DRAWN = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'width="72pt" height="36pt" viewBox="0 0 72 36"><metadata>x</metadata>'
    "<defs><style>*{x: y}</style></defs>"
    '<path id="p" d="M 0 0 H 72 V 36 H 0 Z" style="fill: #0072b2; stroke-width: 2"/>'
    '<use xlink:href="#p" x="36" clip-path="url(#p)" style="fill: #ffffff"/>'
    "<text style=\"font: bold 9px 'Serif'; text-anchor: middle\">a</text></svg>"
)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "one.svg"
    path.write_text(DRAWN)
    svg.finish(path)
    return path


def test_a_finished_picture_has_attributes_that_its_style_sheet_can_change(picture: Path) -> None:
    text = picture.read_text()
    assert '<path id="one-p" d="M 0 0 H 72 V 36 H 0 Z" fill="#0072b2" stroke-width="2" />' in text
    assert '<use x="36" clip-path="url(#one-p)" href="#one-p" fill="#ffffff" />' in text
    words = 'font-size="9px" font-weight="bold" text-anchor="middle" fill="#24292f">a</text>'
    assert words in text
    assert "style=" not in text
    assert "metadata" not in text
    assert '[fill="#0072b2"] { fill: #56b4e9 }' in text


def test_a_picture_in_the_page_has_the_colours_of_the_page(picture: Path) -> None:
    assert inline(picture, "A picture") == (
        '<svg viewBox="0 0 72 36" stroke-linejoin="round" stroke-linecap="butt" role="img" '
        'aria-label="A picture"><defs />'
        '<path id="one-p" d="M 0 0 H 72 V 36 H 0 Z" fill="var(--series-1)" stroke-width="2" />'
        '<use x="36" clip-path="url(#one-p)" href="#one-p" fill="var(--card)" />'
        '<text font-size="9px" font-weight="bold" text-anchor="middle" fill="currentColor">a</text>'
        "</svg>"
    )


def test_a_title_stands_in_a_line_above_the_picture(picture: Path) -> None:
    root = ElementTree.fromstring(svg.add_title(picture, "What <is> shown"))
    background, title, inner = root
    assert (background.attrib["height"], title.text) == ("100%", "What <is> shown")
    assert (inner.attrib["y"], inner.attrib["viewBox"]) == ("24.0", "0 0 72 36")
    assert root.attrib["height"] == "60.0pt"


@pytest.mark.slow
@pytest.mark.parametrize(("dark", "blue"), [(False, [0, 114, 178]), (True, [86, 180, 233])])
def test_a_browser_draws_an_image_in_the_readers_colours(
    picture: Path, dark: bool, blue: list[int]
) -> None:
    page = picture.with_name("page.html")
    # A data URL: scripts may read the pixels of no other file.
    page.write_text(
        '<meta name="color-scheme" content="light dark"><img id="picture">'
        "<script>const text = " + repr(picture.read_text()) + ";"
        "picture.src = 'data:image/svg+xml,' + encodeURIComponent(text)</script>"
    )
    pixel = """async () => {
        const picture = document.querySelector("#picture");
        await picture.decode();
        const canvas = document.createElement("canvas");
        const context = canvas.getContext("2d");
        context.drawImage(picture, 0, 0);
        return [...context.getImageData(5, 30, 1, 1).data].slice(0, 3);
    }"""
    with open_page(page, dark=dark) as (tab, errors):
        assert tab.evaluate(pixel) == blue
    assert errors == []
