"""Ask the Hugging Face hub for commits and access, and say what to do about its errors."""

import errno
import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar

UNPINNED = "unpinned"
PIN = "`python -m delta pin`"
TIMEOUT_S = 5  # for one answer
MAX_RETRIES = 5  # of a question that the hub's rate limit refuses
DEFAULT_WAIT_S = 10  # where such a refusal names no time
MAX_WAIT_S = 300  # the window over which the hub counts requests

T = TypeVar("T")


class Answer(NamedTuple):
    """What the hub says of a repository."""

    commit: str  # the one that was asked for, or the newest
    files: frozenset[str]


def ask(repository: str, repo_type: str, revision: str) -> Answer:
    """Return what the hub says; of the newest commit where `revision` is UNPINNED.

    Raises the errors of huggingface_hub; GatedRepoError where the account of HF_TOKEN may not read
    the files, although everyone may read the repository's page.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    commit = None if revision == UNPINNED else revision
    info = api.repo_info(repository, revision=commit, repo_type=repo_type, timeout=TIMEOUT_S)
    if info.gated:
        api.auth_check(repository, repo_type=repo_type)
    files = frozenset(file.rfilename for file in getattr(info, "siblings", None) or ())
    return Answer(str(info.sha), files)


def ask_newest_commit(repository: str, repo_type: str) -> str:
    """Return the newest commit of the main branch. Waits while the hub limits requests.

    Raises the errors of huggingface_hub.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    return retry_while_limited(
        lambda: str(api.repo_info(repository, repo_type=repo_type, timeout=TIMEOUT_S).sha)
    )


def newest_commit(repository: str, repo_type: str) -> str | None:
    """Return the newest commit of the main branch; None where the hub does not say."""
    try:
        return ask_newest_commit(repository, repo_type)
    except Exception:  # noqa: BLE001 - offline, no such repository, a broken connection
        return None


def how_to_pin(commit: str | None) -> str:
    """Return how an unpinned revision is set; `commit` is the newest, where it is known."""
    if commit is None:
        return f"{PIN} writes the newest commit where there is a network"
    return f"the newest is {commit}, and {PIN} writes it"


def page_of(repository: str, repo_type: str) -> str:
    return f"https://huggingface.co/{'datasets/' * (repo_type == 'dataset')}{repository}"


def retry_while_limited(function: Callable[[], T]) -> T:
    """Return the function's result. Where the hub's rate limit refuses it, wait and try again.

    The hub's libraries wait by themselves for files, but not for questions about a repository.
    """
    for _ in range(MAX_RETRIES):
        try:
            return function()
        except Exception as error:
            wait = seconds_to_wait(error)
            if wait is None:
                raise
        logging.warning("The hub limits requests: waiting for %d s", wait)  # to the stage's log
        time.sleep(wait)
    return function()


def seconds_to_wait(error: Exception) -> int | None:
    """Return the seconds after which the hub answers again; None if it set no limit."""
    for cause in _causes(error):
        response = getattr(cause, "response", None)
        if getattr(response, "status_code", None) == 429:
            assert response is not None
            named = _retry_after(response.headers.get("Retry-After", ""))
            limit = re.search(r";\s*t\s*=\s*(\d+)", response.headers.get("RateLimit", ""))
            if named is None:
                named = float(limit[1]) if limit else DEFAULT_WAIT_S
            return math.ceil(min(named + 1, MAX_WAIT_S))
    return None


def _retry_after(text: str) -> float | None:
    """Return the seconds that a Retry-After names, as a number or a date; None if it is neither."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text.strip()):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def advice(error: Exception, repository: str, repo_type: str) -> str | None:
    """Return what to do about an error of the hub; None where only its own words help."""
    from huggingface_hub import errors
    from huggingface_hub.constants import HF_HUB_CACHE

    page = page_of(repository, repo_type)
    causes = list(_causes(error))
    status = next((_status(cause) for cause in causes if _status(cause)), None)
    # `datasets` hides the hub's error behind one of its own.
    hidden = [str(cause) for cause in causes if type(cause).__name__ == "DatasetNotFoundError"]
    if _has(causes, errors.GatedRepoError) or any("gated dataset" in text for text in hidden):
        return f"it is gated; accept its terms at {page} and set HF_TOKEN to that account's token"
    is_absent = _has(causes, errors.RepositoryNotFoundError)
    if is_absent or _has(causes, errors.RevisionNotFoundError) or hidden:
        problem = "does not exist" if is_absent else "has no such revision"
        return f"{page} {problem}, or is private and needs HF_TOKEN"
    if _has(causes, errors.RemoteEntryNotFoundError):
        return f"{page} has no such file at this commit"
    if any(getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT) for cause in causes):
        return f"the disk is full; free some of {HF_HUB_CACHE}, or set HF_HOME to a larger disk"
    if status == 401:
        return "the hub refuses the token in HF_TOKEN; expected a valid one, or none"
    if status == 429:
        wait = seconds_to_wait(error)
        return (
            f"the hub limits how much one account or address may ask; try again in {wait} s, or "
            "set HF_TOKEN, which raises the limit"
        )
    if status is not None and status >= 500:
        return f"the hub answers HTTP {status}; try again later"
    return None


def is_out_of_reach(error: Exception) -> bool:
    """Return whether the hub could not be reached, and the cache did not do."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    return _has(list(_causes(error)), LocalEntryNotFoundError, ConnectionError)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and those that led to it."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _has(causes: list[BaseException], *kinds: type[Exception]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None
