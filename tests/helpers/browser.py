"""A headless Chromium for tests of HTML pages: found on this machine, never downloaded."""

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


class OpenPage(NamedTuple):
    """A page of Playwright, and the errors in it so far."""

    page: Any
    errors: list[str]  # of scripts and of the console, dialogs, requests to the outside


def find_chromium() -> str:
    """Return the path of a Chromium; skip the test if there is none."""
    pytest.importorskip("playwright", reason="needs the package playwright")
    for name in NAMES:
        if path := shutil.which(name):
            return path
    pytest.skip(f"needs a browser: none of {', '.join(NAMES)} is on the PATH")


@contextmanager
def open_page(
    address: Path | str, width: int = 1280, height: int = 900, dark: bool = False
) -> Iterator[OpenPage]:
    """Open a file or URL in a fresh profile.

    A dialog is an error, and so is any request that does not go to a file or to this machine.
    """
    executable = find_chromium()
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
            _collect_errors(page, errors)
            page.goto(Path(address).resolve().as_uri() if isinstance(address, Path) else address)
            yield OpenPage(page, errors)
        finally:
            browser.close()


def _collect_errors(page: Any, errors: list[str]) -> None:
    def on_dialog(dialog: Any) -> None:
        errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def on_console(message: Any) -> None:
        if message.type in ("error", "warning"):
            errors.append(f"console: {message.text}")

    def on_request(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:", "http://127.0.0.1")):
            errors.append(f"request: {request.url}")

    page.on("dialog", on_dialog)
    page.on("console", on_console)
    page.on("pageerror", lambda error: errors.append(f"script: {error}"))
    page.on("request", on_request)


def horizontal_overflow(page: Any) -> int:
    """Return by how many pixels the page is wider than the window."""
    width: int = page.evaluate(
        "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
    )
    return width
