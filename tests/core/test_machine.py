"""A result names the processors that it was computed on."""

from pathlib import Path

import pytest

from delta.core import machine


def test_the_line_has_the_number_of_usable_processors_and_their_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some  CPU @ 2.00GHz\nmodel name\t: Other\n")
    monkeypatch.setattr(machine, "CPUINFO", cpuinfo)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3})
    assert machine.cpu() == "2 × Some CPU @ 2.00GHz"


def test_a_processor_without_a_name_is_named_by_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert machine.cpu() == "1 × x86_64 processor"
