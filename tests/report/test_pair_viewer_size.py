"""The pages of pairs and of answers at the paper's size.

Run as a module to measure the build's time and memory, and the seconds in the browser.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delta.report.viewer import answer_page
from tests.helpers.browser import open_page
from tests.helpers.example_answers import example_answers
from tests.helpers.simulated_pairs import write_simulated_run, write_viewer


def measure_seconds(folder: Path) -> dict[str, float]:
    """Return the seconds in Chromium for the first list, a pair, the next pair and a search."""
    times: dict[str, float] = {}
    before = time.perf_counter()
    with open_page(folder / "pairs" / "index.html") as (page, errors):
        started = time.perf_counter()
        page.locator("#items li").first.wait_for()
        now = time.perf_counter()
        times |= {"browser_start": started - before, "first_list": now - started}
        times["open_pair"] = seconds_until_item(page, page.locator("#items li a").first.click)
        times["next_pair"] = seconds_until_item(page, lambda: page.keyboard.press("j"))
        page.keyboard.press("Escape")
        times["search"] = seconds_until_found(page, "p.777")
        assert errors == []
    return {name: round(seconds, 2) for name, seconds in times.items()}


def seconds_until_item(page: Any, act: Callable[[], object]) -> float:
    """Return the seconds from `act` until another pair or question is on the screen."""
    old = page.title()
    started = time.perf_counter()
    act()
    while page.title() == old:
        page.wait_for_timeout(5)
    page.locator(".trace").last.wait_for()
    return time.perf_counter() - started


def seconds_until_found(page: Any, words: str) -> float:
    """Return the seconds from the search for `words` until the list has another length."""
    count = page.locator("#count")
    before = count.text_content()
    started = time.perf_counter()
    page.get_by_label("Search statements and ids").fill(words)
    while count.text_content() == before:
        page.wait_for_timeout(5)
    return time.perf_counter() - started


@pytest.mark.slow
def test_list_and_pair_open_in_seconds_with_16_500_pairs(tmp_path: Path) -> None:
    write_simulated_run(tmp_path, pairs=16_500, characters=600)
    counts = write_viewer(tmp_path)
    assert (counts["pairs"], counts["traces"]) == (16_500, 33_000)
    seconds = measure_seconds(tmp_path)
    assert seconds["first_list"] < 10  # 1 s where nothing else runs
    assert seconds["open_pair"] < 5
    assert seconds["search"] < 5


@pytest.mark.slow
def test_list_and_question_open_in_seconds_with_16_500_questions(tmp_path: Path) -> None:
    numbers = range(16_500)
    texts = [f"{number} " + "so that x " * 60 for number in numbers]
    answers = example_answers(texts, texts, [f"yes {text}" for text in texts])
    counts = answer_page.write(tmp_path / "answers", "base", "policy", [answers])
    assert counts["gained"] == 16_500
    with open_page(tmp_path / "answers" / "index.html") as (page, errors):
        started = time.perf_counter()
        page.locator("#items li").first.wait_for()
        first_list = time.perf_counter() - started
        open_question = seconds_until_item(page, page.locator("#items li a").first.click)
        page.keyboard.press("Escape")
        search = seconds_until_found(page, "sums.777")
        assert errors == []
    assert first_list < 10  # 1 s where nothing else runs
    assert open_question < 5
    assert search < 5


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_simulated_run(folder, pairs=16_500, characters=30_000)
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        counts = write_viewer(folder)
        sys.stdout.write(f"build: {time.perf_counter() - started:.0f} s, {counts}\n")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sys.stdout.write(f"memory: {peak / 2**20:.2f} GiB ({base / 2**20:.2f} before the build)\n")
        sys.stdout.write(f"in Chromium, seconds: {measure_seconds(folder)}\n")


if __name__ == "__main__":
    main()
