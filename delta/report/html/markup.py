"""HTML from text. What is not `Html` is text from somewhere and gets escaped."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from delta.report.claims.format import humanize


class Html(str):
    """Markup that was made here."""

    __slots__ = ()


def escaped(content: Any) -> Html:
    """None is a dash: something that there is not."""
    if isinstance(content, Html):
        return content
    return Html(html.escape("–" if content is None else str(content)))


def tag(name: str, *content: Any, **attributes: str) -> Html:
    """`class_` is the attribute class."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{given}>{''.join(escaped(one) for one in content)}</{name}>")


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], caption: str) -> Html:
    """Scrolls in its own box where the window is narrow."""
    head = tag("tr", *[tag("th", one, scope="col") for one in headers])
    body = [
        tag("tr", tag("th", first, scope="row"), *[tag("td", one) for one in rest])
        for first, *rest in rows
    ]
    inner = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def records(rows: Sequence[dict[str, Any]], caption: str) -> Html:
    """Rows as they are; columns that are empty everywhere stay out."""
    columns = [
        name
        for name in dict.fromkeys(key for row in rows for key in row)
        if any(row.get(name) is not None for row in rows)
    ]
    return table(
        [humanize(name) for name in columns],
        [[value(row.get(name)) for name in columns] for row in rows],
        caption,
    )


def value(content: Any) -> Any:
    """A number as a person writes it."""
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, float):
        return f"{content:.4g}".replace("-", "−")
    if isinstance(content, int):
        return f"{content:,}"
    return humanize(content) if isinstance(content, str) else content


def folded(summary: str, *content: Any) -> Html:
    return tag("details", tag("summary", summary), *content)
