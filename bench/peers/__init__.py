"""Peers of bench.requests_per_second. Each module runs in its own environment.

    python -m bench.peers.NAME RESULT

Standard input holds the server's URL and the prompts as JSON. The file RESULT gets the texts in the
order of the prompts, and the seconds that the requests took. A few prompts are sent before the
clock starts, so that imports and first uses are not counted.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CONCURRENCY = 64
SAMPLING = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 16}
WARMUP = 20  # prompts


def measure(ask: Callable[[str, list[str], Path], list[str]]) -> None:
    """Time `ask(url, prompts, folder)`, which writes its results to `folder` and reads them."""
    parser = argparse.ArgumentParser(description="Time a peer on the prompts of standard input.")
    parser.add_argument("result", type=Path, help="the file to write texts and seconds to")
    result: Path = parser.parse_args().result
    content = json.load(sys.stdin)
    url, prompts = content["url"], content["prompts"]
    with tempfile.TemporaryDirectory() as folder:
        ask(url, [f"warm {text}" for text in prompts[:WARMUP]], Path(folder, "a"))
        start = time.perf_counter()
        texts = ask(url, prompts, Path(folder, "b"))
        seconds = time.perf_counter() - start
    result.write_text(json.dumps({"texts": texts, "seconds": seconds}))
