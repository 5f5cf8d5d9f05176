"""Chance that is the same on every machine, whatever the order of a file."""

import hashlib

import polars as pl


def shuffle_key(seed: int, *names: str) -> str:
    """A key to sort by: at random, but the same for a seed on every machine and in every order."""
    return hashlib.sha256("\x00".join([str(seed), *names]).encode()).hexdigest()


def shuffle_keys(seed: int, *names: str, each: pl.Series) -> pl.Series:
    """The bytes of `draw_order(seed, *names, one)` for each one: the same order, sooner."""
    start = "\x00".join([str(seed), *names, ""]).encode()
    keys = [hashlib.sha256(start + one).digest() for one in each.cast(pl.Binary)]
    return pl.Series(keys, dtype=pl.Binary)
