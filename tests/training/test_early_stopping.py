"""Early stopping on short loss curves."""

from typing import Any

from delta.training import checkpoints
from delta.training.early_stopping import Decision, EarlyStoppingParams, Evaluation, decide
from tests.helpers.training_runs import RULE

NAN = float("nan")


def decision(
    losses: list[float], patience: int = 2, min_improvement: float = 0.1, warmup: int = 0
) -> Decision:
    """Apply the rule to losses at steps 10, 20, …"""
    rule = EarlyStoppingParams(
        held_out=0.1, eval_steps=10, patience=patience, min_improvement=min_improvement
    )
    return decide([Evaluation(10 * i, loss) for i, loss in enumerate(losses, 1)], rule, warmup)


def test_a_loss_that_keeps_falling_has_not_converged() -> None:
    assert decision([1.0, 0.8, 0.6, 0.4]) == Decision(Evaluation(40, 0.4), None)


def test_training_converges_at_the_second_evaluation_without_improvement() -> None:
    assert decision([1.0, 0.5, 0.52, 0.51]) == Decision(Evaluation(20, 0.5), 40)


def test_later_losses_do_not_change_the_decision() -> None:
    assert decision([1.0, 0.5, 0.52, 0.51, 0.1]) == Decision(Evaluation(20, 0.5), 40)


def test_an_improvement_resets_patience() -> None:
    assert decision([1.0, 0.5, 0.52, 0.4, 0.41]) == Decision(Evaluation(40, 0.4), None)
    assert decision([1.0, 0.5, 0.52, 0.4, 0.41, 0.42]) == Decision(Evaluation(40, 0.4), 60)


def test_a_small_gain_does_not_reset_patience_but_its_checkpoint_is_the_best() -> None:
    assert decision([1.0, 0.5, 0.49, 0.48]) == Decision(Evaluation(40, 0.48), 40)


def test_small_gains_add_up_to_an_improvement() -> None:
    losses = [1.0, 0.94, 0.88, 0.82, 0.76, 0.70]
    assert decision(losses) == Decision(Evaluation(60, 0.70), None)
    assert decision(losses, patience=1) == Decision(Evaluation(20, 0.94), 20)


def test_the_earliest_of_equal_losses_is_the_best() -> None:
    assert decision([0.5, 0.5, 0.5]) == Decision(Evaluation(10, 0.5), 30)


def test_the_first_evaluation_is_the_best_of_a_rising_loss() -> None:
    assert decision([0.7, 0.8, 0.9]) == Decision(Evaluation(10, 0.7), 30)


def test_a_single_evaluation_is_the_best_and_not_converged() -> None:
    assert decision([0.7], patience=1) == Decision(Evaluation(10, 0.7), None)


def test_a_nan_loss_is_neither_an_improvement_nor_the_best() -> None:
    assert decision([0.7, NAN, NAN]) == Decision(Evaluation(10, 0.7), 30)
    assert decision([NAN, 0.7, 0.7]) == Decision(Evaluation(20, 0.7), None)


def test_with_a_threshold_of_zero_any_gain_is_an_improvement() -> None:
    losses = [1.0, 0.999, 0.998]
    assert decision(losses, patience=1, min_improvement=0.0) == Decision(
        Evaluation(30, 0.998), None
    )


def test_evaluations_of_the_warm_up_do_not_count_against_the_run() -> None:
    losses = [0.69, 0.69, 0.69, 0.69, 0.69]
    assert decision(losses).converged_at == 30
    assert decision(losses, warmup=30).converged_at == 50  # 40 is the first that counts


def test_an_improvement_of_the_warm_up_has_to_be_improved_on() -> None:
    assert decision([0.69, 0.5, 0.49, 0.48], warmup=20) == Decision(Evaluation(40, 0.48), 40)


def test_the_base_has_to_be_improved_on_but_is_never_the_best() -> None:
    rule = EarlyStoppingParams(**RULE)
    curve = [Evaluation(0, 0.69), Evaluation(2, 0.71), Evaluation(4, 0.70)]
    assert decide(curve, rule) == Decision(curve[2], 4)


def test_training_applies_the_early_stopping_rule() -> None:
    log: list[dict[str, Any]] = [
        {"step": 2, "eval_loss": 0.5},
        {"step": 2, "loss": 0.4},
        {"step": 4, "eval_loss": 0.6},
        {"step": 6, "eval_loss": 0.6},
    ]
    decision = decide(checkpoints.held_out_curve(log), EarlyStoppingParams(**RULE))
    assert (decision.best.step, decision.converged_at) == (2, 6)
