r"""Measure the seconds to grade long traces (1,000 to 25,000 characters) against Math-Verify.

    make bench NAME=grading_throughput
    python -m bench.grading_throughput 100    # problems, instead of 1,819

The peer is `datasets.map` with one `verify(parse(gold), parse(text))` per row, in the library's
default settings. Golds are boxed, because bare ones often parse to nothing. Our side is the stage's
two modes with as many processes. The start of the workers is in the time on both sides; the imports
of the process that starts them are in neither. In `math_verify` mode every verdict must equal the
peer's before anything is timed. For `last_box` mode a table lists the rows that differ, and why.
"""

import logging
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from bench import results
from bench.long_traces import LongTrace, long_traces
from delta.grading.config import CodeParams, GradingParams
from delta.grading.grade_all import grade_all
from delta.grading.graders import Case
from delta.grading.verdict import Verdict

PROBLEMS = 1_819  # as many as MATH-500 and GSM8K have
HOSTILE_PROBLEMS = 500  # of them in the hostile run
SEED = 6
TURNS = 3
WORKERS = len(os.sched_getaffinity(0))
LIMIT_S = 5.0  # for the hostile run: the stage's 10 s would only make it longer
HOSTILE_SHARE = 0.01
HOSTILE = (
    r"\boxed{9^{9^{9}}}",
    r"\boxed{9^{9^{9^{9}}}}",
    r"\boxed{(10^9)!}",
    r"\boxed{((10!)!)!}",
    r"\boxed{\binom{10^9}{5 \cdot 10^8}}",
    r"\boxed{" + "(" * 400 + "7" + ")" * 400 + "}",
    r"\boxed{" + "{" * 400 + "7" + "}" * 400 + "}",
    r"\boxed{" * 3_500,
)
CODE = CodeParams(
    sandbox="bubblewrap", timeout_s=6.0, memory_mib=512, processes=8, output_kib=64, file_mib=1
)


def ours(traces: list[LongTrace], extraction: Any, timeout_s: float = 10.0) -> list[Verdict]:
    params = GradingParams(
        backend="local",
        workers=WORKERS,
        timeout_s=timeout_s,
        max_ungradable=1.0,
        extraction=extraction,
        code=CODE,
    )
    cases = (Case("math", trace.gold, trace.text, trace.finish_reason) for trace in traces)
    return list(grade_all(params, cases))


def is_right(row: dict[str, str]) -> dict[str, bool]:
    from math_verify import parse, verify

    return {"right": verify(parse(f"\\boxed{{{row['gold']}}}"), parse(row["text"]))}


def seconds_in_fresh_process(way: Callable[..., list[Any]], *arguments: Any) -> float:
    return results.in_fresh_process(_seconds, way, *arguments)


def _seconds(way: Callable[..., list[Any]], *arguments: Any) -> float:
    import datasets  # noqa: F401 - before the clock starts, as our own imports

    start = time.perf_counter()
    way(*arguments)
    return time.perf_counter() - start


def theirs(traces: list[LongTrace]) -> list[bool]:
    import datasets

    rows = {"gold": [trace.gold for trace in traces], "text": [trace.text for trace in traces]}
    datasets.disable_progress_bars()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        dataset = datasets.Dataset.from_dict(rows)
        path = f"{folder}/right.arrow"
        mapped = dataset.map(
            is_right, num_proc=WORKERS, load_from_cache_file=False, cache_file_name=path
        )
        return list(mapped["right"])


def differences(
    traces: list[LongTrace], right: list[bool], verdicts: list[Verdict]
) -> list[tuple[str, str, LongTrace, Verdict]]:
    """Return the rows where `right` and `verdicts` differ: kind of trace, kind of difference."""
    return [
        (trace.kind, f"{'right' if peer_right else 'wrong'} / {verdict.outcome}", trace, verdict)
        for trace, peer_right, verdict in zip(traces, right, verdicts, strict=True)
        if peer_right != (verdict.outcome == "correct")
    ]


def differences_table(rows: list[tuple[str, str, LongTrace, Verdict]]) -> str:
    counts = Counter((kind, what, verdict.reason) for kind, what, _, verdict in rows)
    lines = []
    for (kind, what, reason), number in counts.most_common():
        trace, verdict = next(
            (trace, verdict)
            for other, other_what, trace, verdict in rows
            if (other, other_what, verdict.reason) == (kind, what, reason)
        )
        end = " ".join(trace.text[-60:].split()).replace("|", "\\|")
        extracted = "–" if verdict.extracted is None else f"`{verdict.extracted[:40]}`"
        cells = [
            kind,
            what,
            reason or "–",
            f"{number:,}",
            f"`{trace.gold}`",
            extracted,
            f"`…{end}`",
        ]
        lines.append(cells)
    head = ["trace", "theirs / ours", "our reason", "rows", "e.g. gold", "ours read", "its end"]
    return results.table(head, lines)


def with_hostile(traces: list[LongTrace]) -> tuple[list[LongTrace], list[int]]:
    """Replace every hundredth trace by a hostile one; return the traces and those positions."""
    every = round(1 / HOSTILE_SHARE)
    places = list(range(every // 2, len(traces), every))
    mixed = list(traces)
    for number, place in enumerate(places):
        text = f"{traces[place].text}\n{HOSTILE[number % len(HOSTILE)]}"
        mixed[place] = LongTrace("hostile", "8", text, "stop")
    return mixed, places


def hostile_table(traces: list[LongTrace]) -> str:
    lines = []
    for extraction in ("math_verify", "last_box"):
        mixed, places = with_hostile(traces)
        undisturbed, before = _timed(traces, extraction)
        mixed_verdicts, after = _timed(mixed, extraction)
        for place, (verdict, mixed_verdict) in enumerate(
            zip(undisturbed, mixed_verdicts, strict=True)
        ):
            assert verdict == mixed_verdict or place in set(places), (
                extraction,
                place,
                verdict,
                mixed_verdict,
            )
        assert all(mixed_verdicts[place].outcome != "correct" for place in places)
        timeouts = sum(mixed_verdicts[place].reason == "timeout" for place in places)
        lines.append(
            [
                *(f"`{extraction}`", len(places), timeouts, f"{before:.1f}", f"{after:.1f}"),
                *(f"{after - before:.1f}", f"{LIMIT_S * timeouts / WORKERS:.1f}"),
                f"{LIMIT_S * len(places) / WORKERS:.1f}",
            ]
        )
    head = ["mode", "hostile", "of these over the limit", "s without", "s with", "growth, s"]
    head += ["limit × over ÷ workers, s", "limit × hostile ÷ workers, s"]
    return results.table(head, lines)


def _timed(traces: list[LongTrace], extraction: str) -> tuple[list[Verdict], float]:
    start = time.perf_counter()
    verdicts = ours(traces, extraction, LIMIT_S)
    return verdicts, time.perf_counter() - start


def ways(traces: list[LongTrace]) -> dict[str, Callable[[], float]]:
    return {
        "datasets.map": lambda: seconds_in_fresh_process(theirs, traces),
        "math_verify": lambda: seconds_in_fresh_process(ours, traces, "math_verify"),
        "last_box": lambda: seconds_in_fresh_process(ours, traces, "last_box"),
    }


def main() -> None:
    parser = results.argument_parser(__doc__)
    parser.add_argument("problems", type=int, nargs="?", default=PROBLEMS)
    problems = parser.parse_args().problems
    source, traces = long_traces(problems, SEED)
    right = results.in_fresh_process(theirs, traces)
    unexpected = differences(traces, right, ours(traces, "math_verify"))
    assert not unexpected, differences_table(unexpected)
    differing = differences(traces, right, ours(traces, "last_box"))
    seconds, starts = (results.in_turns(ways(part), TURNS) for part in (traces, traces[:8]))
    rows = [
        [
            name,
            *(" ".join(f"{second:.1f}" for second in times[name]) for times in (seconds, starts)),
        ]
        for name in seconds
    ]
    ratios = {
        name: results.ratio(seconds["datasets.map"], seconds[name])
        for name in ("math_verify", "last_box")
    }
    net = {
        name: statistics.median(times) - statistics.median(starts[name])
        for name, times in seconds.items()
    }
    without_start = {name: net["datasets.map"] / net[name] for name in ratios}
    lengths = sorted(len(trace.text) for trace in traces)
    text = f"""{len(traces):,} traces of {problems:,} problems ({source}), {lengths[0]:,} to
{lengths[-1]:,} characters, median {lengths[len(lengths) // 2]:,}; {WORKERS} processes.

{results.table(["way", f"seconds in {TURNS} turns", "eight traces alone"], rows)}

datasets.map / ours, `math_verify`: **{ratios["math_verify"]}**, 0 differences; without the start
(eight traces alone): {without_start["math_verify"]:.2f}. Both call the library for every trace.

datasets.map / ours, `last_box`: **{ratios["last_box"]}** (target: at least 6); without the
start: {without_start["last_box"]:.2f}. Differences: {len(differing):,}

{differences_table(differing)}

One in a hundred hostile, {HOSTILE_PROBLEMS} problems, limit {LIMIT_S:.0f} s:

{hostile_table(traces[: 8 * HOSTILE_PROBLEMS])}"""
    results.record("grading_throughput", "make bench NAME=grading_throughput", text)


if __name__ == "__main__":
    main()
