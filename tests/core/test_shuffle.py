"""Seeded orders are SHA-256 of the seed and the names."""

import hashlib

import polars as pl

from delta.core.shuffle import shuffle_key, shuffle_keys


def test_the_shuffle_key_is_sha256() -> None:
    assert shuffle_key(6, "x") == hashlib.sha256(b"6\x00x").hexdigest()
    assert shuffle_key(6, "x")[:8] != shuffle_key(7, "x")[:8]
    assert shuffle_key(1, "2", "3") != shuffle_key(12, "3")
    names = pl.Series(["y", "é"])
    assert [key.hex() for key in shuffle_keys(6, "x", each=names)] == [
        shuffle_key(6, "x", "y"),
        shuffle_key(6, "x", "é"),
    ]
    assert shuffle_keys(6, each=pl.Series(["x"])).to_list() == [bytes.fromhex(shuffle_key(6, "x"))]
