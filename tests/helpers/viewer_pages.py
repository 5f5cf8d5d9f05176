"""The pages of pairs and of answers in a browser, and texts that would run if they were markup."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.browser import open_page

HOSTILE = {
    "script": "<script>window.ran = 1; alert(1)</script>",
    "handler": '<img src=x onerror="window.ran = 1; alert(1)">',
    "closing": "</script><script>window.ran = 1</script>",
    "closing data": '");window.ran = 1;//',
    "link": '<a href="javascript:window.ran=1">x</a> [x](javascript:alert(1))',
    "frame": "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "svg": "<svg onload=window.ran=1><style>*{display:none}</style>",
    "template": "${window.ran = 1} {{window.ran = 1}} `+alert(1)+`",
    "in a formula": r"\(\text{<img src=x onerror=alert(1)>}\) $<b>x</b>$",
    "command": r"\(\href{javascript:alert(1)}{x}\) \[\class{x}{y}\]",
    "attribute": '" autofocus onfocus="window.ran=1',
    "comment": "<!-- --> ]]> <![CDATA[ x",
}


@contextmanager
def open_viewer(folder: Path, **window: Any) -> Iterator[Any]:
    """Open the page in `folder`; errors of scripts and console and dialogs fail the test."""
    with open_page(folder / "index.html", **window) as (page, errors):
        page.locator("#items li").first.wait_for()
        yield page
        assert errors == []
