"""The problems whose traces the second judge rates."""

import polars as pl

from delta.core.shuffle import shuffle_keys


def sample_problems(problem_ids: pl.Series, number: int | None, seed: int) -> pl.Series:
    """Return `number` of the different problems at random, all if null or if there are fewer.

    All generators have the same problems, and a larger number keeps those of a smaller one.
    """
    different = problem_ids.unique(maintain_order=True)
    if number is None:
        return different
    keys = shuffle_keys(seed, "second judge", each=different)
    return pl.DataFrame([different.alias("id"), keys.alias("key")]).sort("key")["id"].head(number)
