"""Run Git and read what it prints."""

import subprocess


def git(*args: str, check: bool = False) -> str:
    """Return the standard output of `git ARGS`; an empty text where Git fails or is missing.

    With `check`, raises CalledProcessError or FileNotFoundError instead.
    """
    try:
        done = subprocess.run(["git", *args], check=check, capture_output=True)
    except FileNotFoundError:
        if check:
            raise
        return ""
    # File names need not be UTF-8. os.fsencode turns the surrogates back into their bytes.
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else ""
