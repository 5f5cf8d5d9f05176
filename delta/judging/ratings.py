"""What every reader of a rating table needs."""

import polars as pl

from delta.core.errors import InputError

DECIMALS = 6  # of mean votes, so that means of the same votes are equal in whatever order


def check_one_judge(ratings: pl.DataFrame) -> None:
    """Raise InputError if several judges gave the ratings: their scales need not be the same."""
    judges = sorted(ratings["judge"].unique())
    if len(judges) > 1:
        raise InputError(f"ratings by the judges {', '.join(judges)}; expected one judge")
