"""Traces of a recording: its rows, with the span of the reasoning."""

from delta.core.schemas import RECORDING, TRACE
from delta.core.tables import frame_of
from delta.inference import chat_formats
from delta.inference.generate import count_traces, recording_to_traces


def recorded_row(text: str, finish_reason: str, outcome: str | None) -> dict[str, object]:
    return {
        "problem_id": "openr1.7",
        "sample": 0 if outcome else 1,
        "text": text,
        "finish_reason": finish_reason,
        "outcome": outcome,
    }


def test_a_recorded_trace_keeps_its_verdict_and_one_cut_in_its_reasoning_has_no_answer() -> None:
    rows = [
        recorded_row("<think>\nhm\n</think>\n\n\\boxed{2}", "stop", "correct"),
        recorded_row("<think>\nhm", "length", None),
    ]
    traces = recording_to_traces("r1", frame_of(rows, RECORDING), chat_formats.load("think"))
    assert traces.schema == TRACE.columns
    assert traces["trace_id"].to_list() == ["openr1.7/r1/0", "openr1.7/r1/1"]
    assert traces["recorded_outcome"].to_list() == ["correct", None]
    assert traces["answer_start"].to_list() == [19, None]
    assert traces["completion_tokens"].null_count() == 2
    assert count_traces(traces.drop("text")) == {
        "traces": 2,
        "finish_reason": {"length": 1, "stop": 1},
        "reasoning_cut": 1,
        "with_reasoning": 2,
        "mean_completion_tokens": None,
    }
