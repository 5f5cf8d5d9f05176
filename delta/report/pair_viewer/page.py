"""The page itself: one HTML file that runs its own scripts and data beside it, and nothing else."""

import base64
import hashlib
from pathlib import Path
from string import Template

HERE = Path(__file__).parent / "page"
SCRIPTS = (
    "symbols.js",  # what commands of TeX stand for
    "mathml.js",
    "maths.js",
    "text.js",
    "data.js",
    "list.js",
    "pair.js",
    "main.js",
)


def html() -> str:
    """Style and scripts stand in the page, each allowed by its hash; the data files are scripts
    that those load, which strict-dynamic allows also on file://."""
    style = _read("style.css")
    scripts = [_read(name) for name in SCRIPTS]
    hashes = " ".join(_hash(script) for script in scripts)
    policy = [
        "default-src 'none'",
        f"script-src 'strict-dynamic' {hashes}",
        f"style-src {_hash(style)}",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",  # strings never become markup or scripts
        "trusted-types data",
    ]
    return Template(_read("index.html")).substitute(
        policy="; ".join(policy),
        style=style,
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
