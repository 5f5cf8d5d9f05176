"""Votes from a model's log-probabilities: by hand, and by a tiny model."""

import math
from pathlib import Path

import pytest

from delta.judging import surprisal
from delta.judging.judge import JudgeInput, judge_by_surprisal
from delta.judging.rules.rate import NoVote
from delta.judging.surprisal import Scale, SurprisalParams, TraceToken
from tests.helpers.toy_judge import DIMENSIONS

PARAMS = SurprisalParams(
    model="toy",
    result=Scale(best=0.0, worst=4.0),
    step=Scale(best=1.0, worst=3.0),
    repetition=Scale(best=0.0, worst=0.5),
)


def votes(trace: str, surprisals: list[float]) -> dict[str, float | str]:
    """Return the votes, or why there is none; a character is a token of this surprisal (nats)."""
    assert len(surprisals) == len(trace)
    tokens = [TraceToken(start, -value) for start, value in enumerate(surprisals)]
    rated = surprisal.rate(trace, tokens, PARAMS)
    return {
        name: of.reason if isinstance(of, NoVote) else of[0].score for name, of in rated.items()
    }


@pytest.mark.parametrize(
    ("value", "score"), [(0.0, 5.0), (1.0, 5.0), (1.5, 4.0), (2.0, 3.0), (3.0, 1.0), (9.0, 1.0)]
)
def test_a_vote_falls_from_5_to_1_between_best_and_worst(value: float, score: float) -> None:
    assert Scale(best=1.0, worst=3.0).score(value) == score


def test_a_scale_has_its_best_below_its_worst() -> None:
    with pytest.raises(ValueError, match="expected best below worst = 1"):
        Scale(best=1.0, worst=1.0)


def test_results_are_precision_and_what_comes_before_them_is_a_step() -> None:
    # a=7: a and = are the step, 7 the result. b: a line without a result.
    assert votes("a=7\nb", [1.0, 3.0, 2.0, 9.0, 1.5]) == {
        "factuality": "a model's surprisal does not tell",
        "strategy_coherence": "a model's surprisal does not tell",
        "step_coherence": 3.0,  # the mean of 1 and 3 is worse than 1.5
        "computational_precision": 3.0,  # 2 of 0 to 4
        "signal_to_noise": 5.0,
    }


def test_the_worst_line_counts_however_many_good_ones_there_are() -> None:
    good, bad = [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]
    for number in (1, 20):
        trace = "".join(f"{chr(97 + line)}=1\n" for line in range(number)) + "z=9\n"
        assert votes(trace, good * number + bad)["computational_precision"] == 1.0
        assert votes(trace, good * (number + 1))["computational_precision"] == 5.0


def test_the_result_follows_the_last_sign_of_equality() -> None:
    assert votes("a=b=7", [0.0, 0.0, 4.0, 0.0, 1.0])["computational_precision"] == 4.0


def test_repeated_lines_lower_signal_to_noise() -> None:
    assert votes("a\nb\nc\n a ", [0.0] * 9)["signal_to_noise"] == 3.0  # one of four
    assert votes("a\na", [0.0] * 3)["signal_to_noise"] == 1.0


def test_what_cannot_be_read_gets_no_vote_and_is_counted() -> None:
    inputs = [JudgeInput(name, "1 + 1?", text) for name, text in (("a", "It is."), ("b", " \n"))]
    inputs.append(JudgeInput("c", "1 + 1?", "1=1"))
    tokens = {"a": [TraceToken(0, -2.0)], "b": [], "c": None}
    rows, counts = judge_by_surprisal(PARAMS, inputs, tokens)
    assert counts == {
        "judge": "surprisal",
        "votes": 3,
        "refused": 12,
        "no_vote": dict.fromkeys(DIMENSIONS, 3) | {"step_coherence": 2, "signal_to_noise": 1},
    }
    by_key = {(row["trace_id"], row["dimension"]): row for row in rows.iter_rows(named=True)}
    assert by_key["a", "step_coherence"]["votes"] == [3.0]
    assert by_key["a", "step_coherence"]["justification"] == "2.00 nats: It is."
    refused = by_key["a", "computational_precision"]
    assert (refused["votes"], refused["refused"]) == ([], 1)
    assert refused["justification"] == "No vote: no line with a result."
    assert by_key["b", "signal_to_noise"]["justification"] == "No vote: no line."
    too_long = by_key["c", "computational_precision"]["justification"]
    assert too_long == "No vote: longer than the model's context."


def test_log_probabilities_are_those_of_one_plain_pass_per_text(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    from delta.inference.token_logps import token_logps

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=17,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    texts: dict[tuple[int, ...], list[tuple[int, ...]]]
    texts = {(1, 2, 3): [(4, 5), (6,), (4, 5), (), (7, 8, 9, 10)], (2,): [(4, 5)]}
    found = {
        (prompt, text): logps for prompt, text, logps in token_logps(tmp_path, "float32", texts)
    }
    assert set(found) == {
        *(((1, 2, 3), text) for text in ((4, 5), (6,), (7, 8, 9, 10))),
        ((2,), (4, 5)),
    }
    for (prompt, text), logps in found.items():
        with torch.no_grad():
            logits = model(torch.tensor([prompt + text])).logits[0].log_softmax(dim=1)
        expected = [
            logits[len(prompt) + place - 1, token].item() for place, token in enumerate(text)
        ]
        assert logps == pytest.approx(expected, abs=1e-5)
        assert all(math.isfinite(logp) and logp < 0 for logp in logps)
