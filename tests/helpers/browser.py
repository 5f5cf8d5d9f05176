"""A headless Chromium for the tests of pages: found on this machine, never downloaded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Opened(NamedTuple):
    """A page of Playwright, and what went wrong in it so far."""

    page: Any
    errors: list[str]  # errors of scripts and of the console, dialogs, requests to the outside


def chromium() -> str:
    """The path of a Chromium; the test is skipped where there is none."""
    pytest.importorskip("playwright", reason="needs the package playwright")
    for name in NAMES:
        if found := shutil.which(name):
            return found
    pytest.skip(f"needs a browser: none of {', '.join(NAMES)} is on the PATH")


@contextmanager
def opened(
    address: Path | str, width: int = 1280, height: int = 900, dark: bool = False
) -> Iterator[Opened]:
    """The file or URL in a fresh profile. A dialog is an error, and so is any request that does not
    go to a file or to this machine."""
    executable = chromium()
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=[*ARGUMENTS, *root], headless=True
        )
        try:
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
            )
            errors: list[str] = []
            _watch(page, errors)
            page.goto(Path(address).resolve().as_uri() if isinstance(address, Path) else address)
            yield Opened(page, errors)
        finally:
            browser.close()


def _watch(page: Any, errors: list[str]) -> None:
    def dialog(shown: Any) -> None:
        errors.append(f"dialog: {shown.message}")
        shown.dismiss()

    def message(said: Any) -> None:
        if said.type in ("error", "warning"):
            errors.append(f"console: {said.text}")

    def request(sent: Any) -> None:
        if not sent.url.startswith(("file:", "data:", "blob:", "http://127.0.0.1")):
            errors.append(f"request: {sent.url}")

    page.on("dialog", dialog)
    page.on("console", message)
    page.on("pageerror", lambda error: errors.append(f"script: {error}"))
    page.on("request", request)


def sideways(page: Any) -> int:
    """By how many pixels the page is wider than the window: more than 0 scrolls sideways."""
    width: int = page.evaluate(
        "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
    )
    return width
