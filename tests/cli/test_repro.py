"""`python -m delta repro` runs DVC, ends with what the run taught, and says what it changed."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from delta import check
from delta.cli import repro
from delta.core import params, progress
from delta.core.errors import InputError
from delta.plan import dvc_state, stage_seconds
from delta.plan.dvc_state import UP_TO_DATE, WAITS, Stage
from delta.report import this_run
from tests.helpers.import_closure import ROOT

SMOKE = check.check(ROOT / "profiles" / "smoke.yaml")
# In place of dvc: ends two stages of the run, and prints to both streams.
DVC = """#!{python}
import os, sys
from delta.core import progress
print("Running stage 'select':")
for stage in ("select", "train"):
    print(progress.end_stage(stage, "fine", None).partition(" (")[0], file=sys.stderr)
sys.exit({code})
"""


def git(folder: Path, *words: str) -> None:
    author = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", *author, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with what a run writes."""
    for name in ("dvc.lock", "metrics/summary.json", "metrics/plots/figure-1.svg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old\n")
    (tmp_path / ".gitignore").write_text("/bin/\n/.dvc/\n")
    (tmp_path / "params.yaml").write_text("profile: toy\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "state")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def use_dvc(space: Path, monkeypatch: pytest.MonkeyPatch, text: str, code: int = 0) -> None:
    """Put `text` in the place of dvc."""
    (space / "bin").mkdir()
    (space / "bin/dvc").write_text(text.format(python=sys.executable, code=code))
    (space / "bin/dvc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{space / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def use_stages(monkeypatch: pytest.MonkeyPatch, **states: str) -> None:
    """Let DVC find these stages in these states, in this order."""
    stages = [Stage(name, (), (), data_changed=False, state=states[name]) for name in states]
    monkeypatch.setattr("delta.plan.dvc_state.read_stages", lambda: stages)


def test_a_run_shows_its_stages_and_no_other_word_of_dvc(
    space: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    use_dvc(space, monkeypatch, DVC)
    use_stages(monkeypatch, pair=UP_TO_DATE, select="runs", train=WAITS, analyze=WAITS)
    assert repro.run_stages(SMOKE) == 0
    output = capfd.readouterr()
    assert output.out.splitlines() == [
        "3 of 4 stages to run",
        "1 of these did not have to run: unchanged, or in DVC's run cache.",
    ]
    assert output.err.splitlines() == ["stage 1 of 3: select: fine", "stage 2 of 3: train: fine"]


def test_a_run_with_recorded_times_says_how_long_it_takes(
    space: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    use_dvc(space, monkeypatch, DVC)
    use_stages(monkeypatch, select="runs", train=WAITS)
    monkeypatch.setattr(stage_seconds, "seconds_of", lambda _: {"select": 10.0, "train": 110.0})
    assert repro.run_stages(SMOKE) == 0
    assert capfd.readouterr().out == "2 of 2 stages to run, about 2 min\n"


def test_a_stage_after_a_run_has_no_place_in_it(
    space: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The report after experiments, for example, begins hours later."""
    use_dvc(space, monkeypatch, DVC)
    use_stages(monkeypatch, select="runs", train=WAITS)
    assert repro.run_stages(SMOKE) == 0
    capfd.readouterr()
    assert repro.run_command("dvc", "repro", "train") == 0
    assert capfd.readouterr().err.splitlines() == ["select: fine", "train: fine"]


def test_the_exit_code_of_dvc_is_kept(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_dvc(space, monkeypatch, DVC, code=255)
    use_stages(monkeypatch, select="runs", train=WAITS)
    assert repro.run_stages(SMOKE) == 255


def test_where_nothing_changed_dvc_is_not_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_stages(monkeypatch, pair=UP_TO_DATE, select=UP_TO_DATE)
    monkeypatch.setattr(repro, "run_command", None)
    assert repro.run_stages(SMOKE) == 0
    assert capsys.readouterr().out == "Nothing to run: all 2 stages are up to date.\n"


def test_only_a_whole_run_is_recorded(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_dvc(space, monkeypatch, DVC)
    written: list[tuple[str, set[str]]] = []
    monkeypatch.setattr(stage_seconds, "write", lambda name, s: written.append((name, set(s))))
    use_stages(monkeypatch, pair=UP_TO_DATE, select="runs", train=WAITS)
    with pytest.raises(InputError, match=r"^--record: 2 of 3 stages would run; expected all"):
        repro.run_stages(SMOKE, record=True)
    use_stages(monkeypatch, select="runs", train=WAITS)
    repro.run_stages(SMOKE, record=True)
    assert written == [("smoke", {"select", "train"})]


def smoke_stages(**states: str) -> list[Stage]:
    """Return the stages of the smoke profile to `evaluate`; those not in `states` would run."""
    fetch = "fetch@smollm2-135m"
    stages = [(fetch, ()), ("questions@sums", ()), ("problems", ("questions@sums",))]
    names = ("zero-shot", "one-shot", "three-shot")
    stages += [(f"generate@{name}", (fetch, "problems")) for name in names]
    stages += [(f"verify@{name}", (fetch, "problems", f"generate@{name}")) for name in names]
    stages += [(f"judge@{name}", (fetch, f"generate@{name}", f"verify@{name}")) for name in names]
    stages += [("train", tuple(f"judge@{name}" for name in names))]
    stages += [(f"evaluate@{name}", (fetch, "questions@sums")) for name in names]
    stages += [("evaluate@policy", ("train", "questions@sums"))]
    return [Stage(name, needs, (), False, states.get(name, "runs")) for name, needs in stages]


def test_downloads_come_first_and_shared_models_answer_before_their_items() -> None:
    """The policy is asked by one item, `verify` and `judge` ask no model."""
    assert [" ".join(command[-3:]) for command in repro.commands(SMOKE, smoke_stages())] == [
        "fetch@smollm2-135m questions@sums problems",
        "delta replies generate",
        "delta replies evaluate",
        "dvc repro",
    ]


def test_a_judge_that_is_a_model_is_asked_when_all_verdicts_are_there() -> None:
    judge = SMOKE.judge.model_copy(update={"rater": "llm"})
    params = SMOKE.model_copy(update={"judge": judge})
    done = {"generate@zero-shot": UP_TO_DATE, "verify@zero-shot": UP_TO_DATE}
    commands = [" ".join(command[1:]) for command in repro.commands(params, smoke_stages(**done))]
    assert commands == [
        "repro --single-item fetch@smollm2-135m questions@sums problems",
        "-m delta replies generate",
        "repro --single-item generate@one-shot generate@three-shot verify@one-shot "
        "verify@three-shot",
        "-m delta replies judge",
        "-m delta replies evaluate",
        "repro",
    ]


def test_the_steps_of_a_run_are_its_stages_and_the_commands_between_them() -> None:
    names = [stage.name for stage in smoke_stages()]
    steps = repro.steps_of(repro.commands(SMOKE, smoke_stages()), names)
    assert steps[:6] == [
        *("fetch@smollm2-135m", "questions@sums", "problems"),
        *("replies generate", "replies evaluate", "generate@zero-shot"),
    ]
    assert [step for step in steps if not step.startswith("replies ")] == names


def test_where_no_model_is_shared_dvc_is_started_once() -> None:
    done = {stage.name: UP_TO_DATE for stage in smoke_stages()}
    del done["generate@one-shot"], done["train"], done["evaluate@policy"]
    assert repro.commands(SMOKE, smoke_stages(**done)) == [["dvc", "repro"]]


def test_the_first_command_that_fails_ends_the_run(
    space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_dvc(space, monkeypatch, "#!/bin/sh\necho $@ >> calls\nexit 3\n")
    monkeypatch.setattr(dvc_state, "read_stages", smoke_stages)
    assert repro.run_stages(SMOKE) == 3
    assert (
        space / "calls"
    ).read_text() == "repro --single-item fetch@smollm2-135m questions@sums problems\n"


def test_without_ray_a_run_that_needs_it_ends_before_any_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = params.read_all(ROOT / "profiles" / "smoke.yaml")
    content["engine"]["kind"] = "ray"
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match="Ray is not installed; run `make setup WITH=cluster`"):
        repro.main(argparse.Namespace(record=False))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_dvc_too(
    space: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals, code: int
) -> None:
    use_dvc(space, monkeypatch, "#!/bin/sh\ntouch started\nexec sleep 600\n")
    command = "from delta.cli import command_line, repro\n"
    command += "command_line.run(lambda: repro.run_command('dvc', 'repro'))"
    process = subprocess.Popen([sys.executable, "-c", command], start_new_session=True)
    until = time.monotonic() + 60
    while not (space / "started").exists() and time.monotonic() < until:
        time.sleep(0.05)
    if sent == signal.SIGTERM:
        process.send_signal(sent)
    else:  # as a terminal does
        os.killpg(process.pid, sent)
    assert process.wait(60) == code
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_run_says_what_it_changed_and_both_ways_on(space: Path) -> None:
    assert repro.change_lines() == []
    (space / "params.yaml").write_text("profile: other\n")  # changed by the user, not by the run
    assert repro.change_lines() == []
    (space / "metrics/summary.json").write_text("new\n")
    _, first, keep, undo = repro.change_lines()
    assert first == "Git does not have this run yet: one file changed (metrics/summary.json)."
    assert keep.split("  # ") == [
        '  git add params.yaml metrics/summary.json && git commit -m "Run the pipeline"',
        "keep this run's parameters and numbers",
    ]
    assert undo.split("#")[0].strip() == "git restore metrics/summary.json"
    git(space, "restore", "params.yaml")
    keep = repro.change_lines()[2]
    assert keep.split("  # ") == [
        '  git add metrics/summary.json && git commit -m "Run the pipeline"',
        "keep this run's numbers",
    ]


def test_both_ways_leave_a_clean_working_tree(space: Path) -> None:
    for way in (1, 0):
        (space / "dvc.lock").write_text("new\n")
        (space / "metrics/plots/figure-1.svg").unlink()
        (space / "metrics/plots/figure-2.svg").write_text("new\n")
        _, first, *commands = repro.change_lines()
        assert first == "Git does not have this run yet: 3 files changed (dvc.lock, metrics/plots)."
        command = commands[way].partition("#")[0].replace("git commit", "git commit -q")
        author = [f"-c user.{key}=t" for key in ("name", "email")]
        command = command.replace("git ", f"git {' '.join(author)} ")
        subprocess.run(["sh", "-c", command], check=True)
        assert repro.change_lines() == []


def test_of_a_first_run_there_is_nothing_to_restore(space: Path) -> None:
    git(space, "rm", "-rq", "--cached", "dvc.lock", "metrics")
    git(space, "commit", "-qm", "no run")
    *_, undo = repro.change_lines()
    assert (
        undo.partition("#")[0].strip()
        == "git clean -dfq dvc.lock metrics/summary.json metrics/plots"
    )


def test_in_a_folder_of_a_repository_only_what_the_run_wrote_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `git clean` without a path would remove what a run did not write."""
    git(tmp_path, "init", "-q")
    (tmp_path / "project/metrics").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    for name in ("dvc.lock", "metrics/summary.json", "mine.txt"):
        Path(name).write_text("new\n")
    _, first, keep, undo = repro.change_lines()
    assert (
        first == "Git does not have this run yet: 2 files changed (dvc.lock, metrics/summary.json)."
    )
    assert keep.strip().startswith("git add dvc.lock metrics/summary.json && ")
    assert undo.partition("#")[0].strip() == "git clean -dfq dvc.lock metrics/summary.json"


def test_outside_git_nothing_is_said_of_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text("new\n")
    assert repro.change_lines() == []


def test_a_run_ends_with_the_sentence_of_the_page_and_two_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    run = this_run.ThisRun("It learnt to stop.", "zero-shot", "m", "dpo", [], [], [], {})
    monkeypatch.setattr(this_run, "read_summary", lambda: run)
    *_, sentence, blank, page, compare = repro.result_lines()
    assert (sentence, blank) == ("It learnt to stop.", "")
    assert "python -m webbrowser report/index.html" in page
    assert "python -m delta compare policy zero-shot" in compare


def test_the_progress_file_is_no_file_of_git() -> None:
    assert "/tmp" in (ROOT / ".dvc/.gitignore").read_text().split()
    assert repro.PROGRESS_FILE.parent == Path(".dvc/tmp")


def test_without_a_project_the_cause_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^params.yaml: no such file; run from the project's roo"):
        repro.main(argparse.Namespace(record=False))
    assert progress.read(repro.PROGRESS_FILE) is None
