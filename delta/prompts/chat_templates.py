"""A chat template is a program that came with the weights: it must end, and with a prompt's length.

It is tried once, in a process of its own with limits, before anything is asked of the model.
"""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from delta.core.errors import InputError

TIMEOUT_S = 10  # for all conversations below; real templates take milliseconds
MEMORY_BYTES = 2**30  # bytes beyond what the tokenizer takes
MAX_CHARACTERS = 200_000  # characters of a prompt; the conversations have a hundredth of it
LOAD_TIMEOUT_S = 300  # for the import of transformers and the tokenizer, on a slow disk
ROOT = Path(__file__).parents[2]
TURN = {"role": "user", "content": "What is $1 + 1$? " * 30}
ANSWER = {"role": "assistant", "content": "<think>\n1 + 1\n</think>\n\nIt is 2."}
SYSTEM = {"role": "system", "content": "Think first."}
CONVERSATIONS = ([TURN], [SYSTEM, TURN], [TURN, ANSWER, TURN], [SYSTEM, TURN, ANSWER, TURN])


def check_template(key: str, folder: Path) -> None:
    """Raises InputError where the template in `folder` does not end or writes without end."""
    if not _has_template(folder):
        return
    try:
        tried = subprocess.run(
            [sys.executable, "-m", "delta.prompts.chat_templates", str(folder.resolve())],
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LOAD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{key}: its tokenizer is not loaded within {LOAD_TIMEOUT_S} s") from None
    if tried.returncode == -signal.SIGALRM:
        raise InputError(
            f"{key}: its chat template does not end within {TIMEOUT_S} s; allowed: one that does"
        )
    if tried.returncode:
        said = tried.stderr.strip().rpartition("\n")[2] or f"code {tried.returncode}"
        raise InputError(f"{key}: its chat template cannot be used: {said}")


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and bool(settings.get("chat_template"))


def _limit() -> None:
    """What follows ends the process after the time, in whatever loop, and cannot take memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(TIMEOUT_S)


def _try(tokenizer: Any) -> None:
    for messages in CONVERSATIONS:
        for begins in (True, False):
            try:
                text = tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=begins
                )
            except MemoryError:
                sys.exit(f"it wants more than {MEMORY_BYTES >> 20} MiB of memory")
            except Exception:  # noqa: BLE001 - such as: no system prompts. Its stage says which
                continue
            if len(text) > MAX_CHARACTERS:
                sys.exit(
                    f"it makes {len(text)} characters of a question; allowed: {MAX_CHARACTERS}"
                )


def main(folder: str) -> None:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception:  # noqa: BLE001 - a tokenizer with code of its own; the engine says what is wrong
        return
    _limit()
    _try(tokenizer)


if __name__ == "__main__":
    main(sys.argv[1])
