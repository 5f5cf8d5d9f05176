"""The scripts and the policy of the pages of pairs and of answers: no text in them can run."""

import base64
import hashlib
import re
from collections import Counter

import pytest

from delta.report.viewer.render import FOLDER, SCRIPTS, render


@pytest.mark.parametrize("page", SCRIPTS)
def test_names_of_the_scripts_are_unique(page: str) -> None:
    """The scripts share one scope: a second function would silently replace the first."""
    names = Counter(
        name
        for script in SCRIPTS[page]
        for name in re.findall(
            r"^(?:async )?(?:function|const|class) (\w+)", (FOLDER / script).read_text(), re.M
        )
    )
    assert [name for name, number in names.items() if number > 1] == []


def test_no_script_turns_text_into_markup_or_code() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|createContextualFragment"
        r"|\beval\b|new Function|setTimeout\(\s*[\"'`]|\bfetch\(|XMLHttpRequest|localStorage|https?://(?!www\.w3\.org)"
    )
    for path in sorted(FOLDER.iterdir()):
        assert not forbidden.search(path.read_text()), path.name


def test_scripts_are_short_and_cannot_end_their_own_element() -> None:
    names = {path.name for path in FOLDER.glob("*.js")}
    assert names == {script for scripts in SCRIPTS.values() for script in scripts}
    for name in names:
        script = (FOLDER / name).read_text()
        assert len(script.splitlines()) < 400
        assert "</script" not in script.lower()
        assert "<!--" not in script


@pytest.mark.parametrize("page", SCRIPTS)
def test_the_policy_allows_only_the_scripts_of_the_page(page: str) -> None:
    html = render(page)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["require-trusted-types-for"] == "'script'"
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert len(scripts) == len(SCRIPTS[page])
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts
    ]
    assert rules["script-src"] == " ".join(
        ["'strict-dynamic'", *(f"'sha256-{digest}'" for digest in digests)]
    )
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|\sstyle=", html.split("<script>")[0].split("</style>")[1])
