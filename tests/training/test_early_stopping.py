"""The convergence rule on curves that a person can follow."""

from delta.training.early_stopping import ConvergenceParams, Decision, Evaluation, decide

NAN = float("nan")


def found(losses: list[float], patience: int = 2, min_improvement: float = 0.1) -> Decision:
    """What the rule says of these losses, evaluated at steps 10, 20, …"""
    rule = ConvergenceParams(
        held_out=0.1, every=10, patience=patience, min_improvement=min_improvement
    )
    return decide([Evaluation(10 * i, loss) for i, loss in enumerate(losses, 1)], rule)


def test_a_loss_that_keeps_falling_has_not_converged() -> None:
    assert found([1.0, 0.8, 0.6, 0.4]) == Decision(Evaluation(40, 0.4), None)


def test_converged_is_the_second_of_two_evaluations_without_improvement() -> None:
    assert found([1.0, 0.5, 0.52, 0.51]) == Decision(Evaluation(20, 0.5), 40)


def test_what_comes_after_convergence_changes_nothing() -> None:
    assert found([1.0, 0.5, 0.52, 0.51, 0.1]) == Decision(Evaluation(20, 0.5), 40)


def test_an_improvement_starts_the_wait_again() -> None:
    assert found([1.0, 0.5, 0.52, 0.4, 0.41]) == Decision(Evaluation(40, 0.4), None)
    assert found([1.0, 0.5, 0.52, 0.4, 0.41, 0.42]) == Decision(Evaluation(40, 0.4), 60)


def test_a_small_gain_is_no_improvement_but_its_checkpoint_is_the_best() -> None:
    assert found([1.0, 0.5, 0.49, 0.48]) == Decision(Evaluation(40, 0.48), 40)


def test_small_gains_that_add_up_are_an_improvement() -> None:
    losses = [1.0, 0.94, 0.88, 0.82, 0.76, 0.70]
    assert found(losses) == Decision(Evaluation(60, 0.70), None)
    assert found(losses, patience=1) == Decision(Evaluation(20, 0.94), 20)


def test_the_earliest_of_equal_losses_is_kept() -> None:
    assert found([0.5, 0.5, 0.5]) == Decision(Evaluation(10, 0.5), 30)


def test_a_loss_that_only_rises_keeps_the_first_evaluation() -> None:
    assert found([0.7, 0.8, 0.9]) == Decision(Evaluation(10, 0.7), 30)


def test_one_evaluation_is_best_and_not_converged() -> None:
    assert found([0.7], patience=1) == Decision(Evaluation(10, 0.7), None)


def test_a_loss_that_is_not_a_number_neither_improves_nor_wins() -> None:
    assert found([0.7, NAN, NAN]) == Decision(Evaluation(10, 0.7), 30)
    assert found([NAN, 0.7, 0.7]) == Decision(Evaluation(20, 0.7), None)


def test_a_threshold_of_zero_asks_for_any_gain() -> None:
    losses = [1.0, 0.999, 0.998]
    assert found(losses, patience=1, min_improvement=0.0) == Decision(Evaluation(30, 0.998), None)
