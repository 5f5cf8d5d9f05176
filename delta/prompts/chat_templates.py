"""Check a model's chat template before the model is used.

A template is a program that comes with the weights. It runs once on sample conversations, in a
separate process with limits on time, memory and length.
"""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from delta.core.errors import InputError

TIMEOUT_S = 10  # for all conversations; real templates take milliseconds
MEMORY_BYTES = 2**30  # beyond the tokenizer's own
MAX_CHARACTERS = 200_000  # of a prompt; the sample conversations have a hundredth of it
LOAD_TIMEOUT_S = 300  # to import transformers and load the tokenizer from a slow disk
ROOT = Path(__file__).parents[2]
TURN = {"role": "user", "content": "What is $1 + 1$? " * 30}
ANSWER = {"role": "assistant", "content": "<think>\n1 + 1\n</think>\n\nIt is 2."}
SYSTEM = {"role": "system", "content": "Think first."}
CONVERSATIONS = ([TURN], [SYSTEM, TURN], [TURN, ANSWER, TURN], [SYSTEM, TURN, ANSWER, TURN])


def check_template(key: str, folder: Path) -> None:
    """Raise InputError where the template in `folder` runs too long or writes too much."""
    if not _has_template(folder):
        return
    try:
        done = subprocess.run(
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
    if done.returncode == -signal.SIGALRM:
        raise InputError(f"{key}: its chat template does not end within {TIMEOUT_S} s")
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2] or f"code {done.returncode}"
        raise InputError(f"{key}: its chat template cannot be used: {reason}")


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and bool(settings.get("chat_template"))


def _set_limits() -> None:
    """Limit this process's memory and its time. An alarm ends any loop."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(TIMEOUT_S)


def _render_all(tokenizer: Any) -> None:
    for messages in CONVERSATIONS:
        for add_generation_prompt in (True, False):
            try:
                text = tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=add_generation_prompt
                )
            except MemoryError:
                sys.exit(f"it wants more than {MEMORY_BYTES >> 20} MiB of memory")
            except Exception:  # noqa: BLE001 - such as: no system prompts. Stages report it
                continue
            if len(text) > MAX_CHARACTERS:
                sys.exit(
                    f"it makes {len(text)} characters of a question; expected up to "
                    f"{MAX_CHARACTERS}"
                )


def main(folder: str) -> None:
    """Render conversations by the template in `folder`. Exit with one line where it cannot."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception:  # noqa: BLE001 - it needs its own code; the engine says what is wrong
        return
    _set_limits()
    _render_all(tokenizer)


if __name__ == "__main__":
    main(sys.argv[1])
