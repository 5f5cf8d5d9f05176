"""What a kill leaves of DVC's list of who reads and writes."""

from pathlib import Path

import pytest

from stages.unlock import unlock


@pytest.mark.parametrize("torn", ["", '{"write": {"/data', "\x00\x00"])
def test_a_torn_list_is_dropped(tmp_path: Path, torn: str) -> None:
    (tmp_path / "rwlock").write_text(torn)
    assert unlock(tmp_path)
    assert not (tmp_path / "rwlock").exists()
    assert not unlock(tmp_path)


def test_a_whole_list_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "rwlock").write_text('{"write": {}, "read": {}}')
    assert not unlock(tmp_path)
    assert (tmp_path / "rwlock").exists()
