"""Seeded orders that depend neither on the machine nor on the order of a file's rows."""

import hashlib

import polars as pl


def shuffle_key(seed: int, *names: str) -> str:
    """Return a sort key that is random, and the same for the same `seed` and `names`."""
    return hashlib.sha256("\x00".join([str(seed), *names]).encode()).hexdigest()


def shuffle_keys(seed: int, *names: str, each: pl.Series) -> pl.Series:
    """Return `shuffle_key(seed, *names, name)` for each name in `each`, as bytes."""
    prefix = "\x00".join([str(seed), *names, ""]).encode()
    keys = [hashlib.sha256(prefix + name).digest() for name in each.cast(pl.Binary)]
    return pl.Series(keys, dtype=pl.Binary)
