"""Each change of parameters costs exactly its own requests, as counted at a real server."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl
import pytest

from delta.inference.generate import SampledParams, generate_traces, trace_requests
from delta.inference.reply_cache import ReplyCache
from delta.judging.judge import JudgeInput, build_requests, judge_by_llm
from delta.judging.rubric import RUBRIC, Dimension
from delta.prompts import prompt_files
from tests.helpers.scripted_server import ScriptedServer, engine_at
from tests.helpers.toy_judge import LLM

STATEMENTS = ("1 + 1 = ?", "2 + 2 = ?", "3 + 3 = ?")
GENERATOR = SampledParams(
    model="toy", examples=0, samples=2, temperature=0.7, top_p=1.0, max_tokens=16, seed=1
)
JUDGE = LLM.model_copy(update={"votes": 2, "max_attempts": 1})


def problems(*statements: str) -> pl.DataFrame:
    rows = [
        {"problem_id": f"p.{n}", "prompt": prompt_files.with_instruction(text), "history": []}
        for n, text in enumerate(statements)
    ]
    return pl.DataFrame(rows)


def traces(
    server: ScriptedServer,
    folder: Path,
    statements: Iterable[str],
    params: SampledParams = GENERATOR,
) -> list[str]:
    """Return the traces' texts from what stage `generate` does, without its files."""
    engine = engine_at(server.url)
    requests = list(trace_requests(params, engine, "weights", problems(*statements)))
    with ReplyCache(folder) as cache:
        generate = cache.cached(engine.generate, max_failed=0.0)
        rows = pl.concat(generate_traces("toy", requests, generate, engine.chat_format))
    assert rows.height == len(requests)
    return rows["text"].to_list()


def votes(
    server: ScriptedServer,
    folder: Path,
    texts: Iterable[str],
    dimensions: Sequence[Dimension] = RUBRIC,
) -> list[list[int]]:
    engine = engine_at(server.url)
    judge_inputs = [JudgeInput(f"p.{n}/toy/0", "1 + 1 = ?", text) for n, text in enumerate(texts)]
    requests = list(build_requests(JUDGE, engine, "weights", judge_inputs, dimensions))
    with ReplyCache(folder) as cache:
        rows, _ = judge_by_llm(
            JUDGE,
            0.0,
            judge_inputs,
            requests,
            cache.cached(engine.generate, max_failed=0.0),
            engine.chat_format,
        )
    return rows["votes"].to_list()


@pytest.mark.parametrize(
    ("statements", "params", "requests"),
    [
        pytest.param(STATEMENTS, GENERATOR, 0, id="nothing changed"),
        pytest.param(STATEMENTS[::-1], GENERATOR, 0, id="another order"),
        pytest.param(STATEMENTS[:2], GENERATOR, 0, id="one removed"),
        pytest.param(("1 + 1 = ?", "2 + 9 = ?", "3 + 3 = ?"), GENERATOR, 2, id="one edited"),
        pytest.param((*STATEMENTS, "4 + 4 = ?"), GENERATOR, 2, id="one appended"),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"samples": 5}), 9, id="n 2 to 5"),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"samples": 1}), 0, id="n 2 to 1"),
        pytest.param(
            STATEMENTS, GENERATOR.model_copy(update={"temperature": 0.8}), 6, id="temperature"
        ),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"top_p": 0.9}), 6, id="top_p"),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"max_tokens": 17}), 6, id="length"),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"seed": 2}), 6, id="seed"),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"examples": 1}), 6, id="examples"),
    ],
)
def test_a_change_costs_exactly_its_own_requests(
    server: ScriptedServer,
    tmp_path: Path,
    statements: tuple[str, ...],
    params: SampledParams,
    requests: int,
) -> None:
    before = traces(server, tmp_path, STATEMENTS)
    assert server.count() == 6
    assert len(set(before)) == 6
    after = traces(server, tmp_path, statements, params)
    assert server.count() == requests
    assert traces(server, tmp_path, STATEMENTS) == before
    assert traces(server, tmp_path, statements, params) == after
    assert server.count() == 0


def test_another_rubric_costs_all_ratings_and_no_generation(
    server: ScriptedServer, tmp_path: Path
) -> None:
    texts = traces(server, tmp_path / "generate", STATEMENTS)
    assert votes(server, tmp_path / "judge", texts) == [[4, 4]] * 30
    assert server.count() == 6 + 12
    votes(server, tmp_path / "judge", texts)
    assert server.count() == 0
    first = RUBRIC[0]._replace(success="invents nothing")
    assert traces(server, tmp_path / "generate", STATEMENTS) == texts
    assert server.count() == 0
    votes(server, tmp_path / "judge", texts, (first, *RUBRIC[1:]))
    assert server.count() == 12


def test_one_new_trace_costs_its_own_votes(server: ScriptedServer, tmp_path: Path) -> None:
    votes(server, tmp_path, ["1 + 1 = 2"])
    assert server.count() == 2
    votes(server, tmp_path, ["1 + 1 = 2", "1 + 1 = 3"])
    assert server.count() == 2
