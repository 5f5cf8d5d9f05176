"""Commands end as a shell expects: quietly before `| head`, in any locale, with one-line errors."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import delta.cli.check_golds
import delta.cli.compare
import delta.cli.experiment
import delta.cli.export
import delta.cli.plan
import delta.cli.rating_sheet
import delta.cli.results
import delta.cli.summary
import stages.evaluate
import stages.fetch
import stages.generate
import stages.judge
import stages.questions
import stages.select
import stages.verify
import stages.viewer
from delta.cli.command_line import parse
from delta.core import console
from delta.core.console import Console
from delta.core.errors import RESUME, InputError
from tests.helpers.import_closure import ROOT

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
NO_UTF_8 = {key: ASCII[key] for key in ("LC_ALL", "PYTHONUTF8", "PYTHONCOERCECLOCALE")}
WORDS = "2 × 3 – Köln’s 数"
COMMAND = "from delta.cli.command_line import run\ndef main():\n    {body}\nrun(main)\n"
STAGE = "from delta.core import console\ndef main(console):\n    {body}\nconsole.run(main)\n"


def shell(folder: Path, code: str, pipe: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run `code` before `pipe`. The exit code is that of Python, not of its reader."""
    (folder / "command.py").write_text(code, encoding="utf-8")
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} command.py {pipe}; exit ${{PIPESTATUS[0]}}"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize(
    "body",
    [
        "for number in range(100_000): print(number)",
        "print('0'); import time; time.sleep(0.5)",
        "import argparse; argparse.ArgumentParser(usage='0' + '\\n' * 99_999).parse_args(['-h'])",
    ],
)
def test_a_closed_pipe_ends_a_command_quietly(tmp_path: Path, body: str) -> None:
    done = shell(tmp_path, COMMAND.format(body=body), "| head -1 | cut -c-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0" in done.stdout or "usage" in done.stdout


def test_a_closed_pipe_ends_a_stage_quietly(tmp_path: Path) -> None:
    body = "[console.print(str(number)) for number in range(100_000)]"
    done = shell(tmp_path, STAGE.format(body=body), "2>&1 | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (1, "0\n", "")


@pytest.mark.parametrize("env", [ASCII, NO_UTF_8])
def test_every_locale_prints_every_text(tmp_path: Path, env: dict[str, str]) -> None:
    done = shell(tmp_path, COMMAND.format(body=f"print({WORDS!r})"), "", **env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 ? 3 ? K?ln?s ?\n", "")
    raised = f"from delta.core.errors import InputError; raise InputError({WORDS!r})"
    done = shell(tmp_path, COMMAND.format(body=raised), "", **env)
    assert (done.returncode, done.stdout, done.stderr.count("2 ")) == (2, "", 1)
    body = f"console.print({WORDS!r}); print({WORDS!r}); {raised}"
    done = shell(tmp_path, STAGE.format(body=body), "", **env)
    assert (done.returncode, done.stderr) == (
        2,
        "2 ? 3 ? K?ln?s ?\ncommand: 2 ? 3 ? K?ln?s ?\n",
    )
    assert (tmp_path / "logs/command.log").read_text(encoding="utf-8") == f"{WORDS}\n"


def test_errors_and_ctrl_c_are_one_line(tmp_path: Path) -> None:
    code = COMMAND.format(body="raise KeyboardInterrupt")
    done = shell(tmp_path, code, "")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"Interrupted. {RESUME}\n")
    assert shell(tmp_path, COMMAND.format(body="return 3"), "").returncode == 3


def test_a_stage_that_fails_in_an_experiment_says_how_to_undo_it(tmp_path: Path) -> None:
    code = STAGE.format(body="from delta.core.errors import InputError; raise InputError('wrong')")
    hint = "params.yaml keeps this experiment's values; `git checkout params.yaml metrics`"
    in_workspace = {"DVC_EXP_NAME": "k-4", "DVC_ROOT": str(tmp_path)}
    message = shell(tmp_path, code, "", **in_workspace).stderr
    assert message.startswith(f"command: wrong\n{hint}")
    assert message.count("\n") == 2
    # In a queued run, whose folder DVC removes, and outside of an experiment, nothing is to undo.
    queued = in_workspace | {"DVC_ROOT": str(tmp_path.parent)}
    for env in (queued, {"DVC_ROOT": str(tmp_path)}):
        assert shell(tmp_path, code, "", **env).stderr == "command: wrong\n"
    done = shell(tmp_path, STAGE.format(body="console.print('fine')"), "", **in_workspace)
    assert done.stderr == "fine\n"


def test_every_stage_runs_as_console_says() -> None:
    files = (ROOT / "stages").glob("[a-z]*.py")
    end = '\n\nif __name__ == "__main__":\n    run(main)\n'
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    assert [name for name, text in texts.items() if not text.endswith(end)] == []
    assert [name for name, text in texts.items() if "console.finish(" not in text] == []


@pytest.mark.parametrize(
    "command",
    [
        stages.viewer.main,
        lambda console: delta.cli.rating_sheet.main(
            console, parse(delta.cli.rating_sheet, ["3", "1"])
        ),
        lambda console: delta.cli.export.main(console, parse(delta.cli.export, [])),
        lambda _: delta.cli.summary.main(parse(delta.cli.summary, [])),
        lambda _: delta.cli.compare.read_answers("policy"),
    ],
    ids=["viewer", "rating-sheet", "export", "summary", "compare"],
)
def test_before_the_first_run_commands_ask_for_make_repro(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[[Console], object]
) -> None:
    shutil.copy(ROOT / "profiles/smoke.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"run `make repro` first$"):
        command(Console(io.StringIO()))


def test_compare_does_not_offer_a_model_without_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "profiles/smoke.yaml", tmp_path / "params.yaml")
    shutil.copytree(ROOT / "metrics/runs", tmp_path / "metrics/runs")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="run 'policy': has not been evaluated; run `make repro`"):
        delta.cli.compare.read_answers("policy")
    with pytest.raises(InputError) as unknown:
        delta.cli.compare.read_answers("polcy")
    assert "zero-shot" not in str(unknown.value)


@pytest.mark.parametrize("option", ["--gpu-gib", "--gpu-tflops"])
@pytest.mark.parametrize("text", ["0", "-5", "nan", "inf", "80G"])
def test_a_gpu_is_described_by_positive_numbers(
    option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(delta.cli.plan, [f"{option}={text}"])
    assert f"argument {option}: {text}; expected a number above 0" in capsys.readouterr().err


def test_compare_shows_no_negative_number_of_questions() -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(delta.cli.compare, ["policy", "zero-shot", "--show=-1"])


def test_an_unknown_experiment_lists_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for names, message in (
        ([], "no experiment is named"),
        (["figure-9"], "experiment 'figure-9'"),
        (["all", "figure-9"], "experiment 'figure-9'"),
    ):
        with pytest.raises(
            InputError, match=f"^{message}.* expected all, table-1, table-2, figure-5, fig"
        ):
            delta.cli.experiment.distinct_runs(names)
    for name in ("figure-9", "table-1"):  # not an experiment; one without runs
        with pytest.raises(
            InputError, match=f"^experiment '{name}'.* expected one of figure-1, figure-2"
        ):
            delta.cli.results.main(parse(delta.cli.results, [name]))


def test_only_experiments_with_runs_are_offered_as_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert delta.cli.experiment.names_with_runs(["table-1", "figure-1"]) == ["figure-1"]
    assert delta.cli.experiment.names_with_runs(["all"]) == ["NAME"]
    assert delta.cli.experiment.names_with_runs(["figure-1", "all"]) == ["NAME"]


def test_results_in_a_fresh_clone_are_those_of_the_repository(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(delta.cli.results, "_read_base", lambda: None)
    delta.cli.results.main(parse(delta.cli.results, ["dose"]))
    output = capsys.readouterr().out
    assert [line.split(" | ")[:2] for line in output.split("\n")[:5]] == [
        ["| quintile", "seed"],
        ["| ---", "---"],
        ["| 1", "1"],
        ["| 1", "2"],
        ["| 1", "3"],
    ]
    assert output.endswith("\nDifferences from the base need its answers: make repro\n")


@pytest.mark.parametrize(
    ("stage", "first"),
    [
        (stages.fetch, "smollm2-135m"),
        (stages.questions, "sums"),
        (stages.generate, "early-hot"),
        (stages.verify, "early-hot"),
        (stages.judge, "early-hot"),
        (stages.evaluate, "early"),
    ],
    ids=lambda value: value.__name__ if hasattr(value, "main") else "",
)
def test_a_stage_without_a_known_item_lists_the_items(
    monkeypatch: pytest.MonkeyPatch, stage: ModuleType, first: str
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match=f"^'nope'; expected one of {first}[,a-z0-9 -]* "):
        stage.main(Console(io.StringIO()), "nope")


@pytest.mark.parametrize(
    ("stage", "words", "message"),
    [
        (stages.fetch, [], "the following arguments are required: NAME"),
        (stages.evaluate, [], "the following arguments are required: MODEL"),
        (stages.fetch, ["early", "sums"], "unrecognized arguments: sums"),
        (stages.select, ["early"], "unrecognized arguments: early"),
        (stages.judge, ["early", "second", "third"], "unrecognized arguments: third"),
    ],
)
def test_missing_and_unknown_arguments_of_a_stage_are_refused(
    stage: ModuleType, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        console.parse(stage.main, "stage", words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"python -m stages.stage: error: {message}\n")


def test_wrong_arguments_after_an_item_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    screen = Console(io.StringIO())
    with pytest.raises(InputError, match=r"^early third: expected nothing or second after"):
        stages.judge.main(screen, "early", "third")
    with pytest.raises(InputError, match=r"^'nope'; expected one of sums, "):
        delta.cli.check_golds.main(screen, parse(delta.cli.check_golds, ["questions", "nope"]))


def test_zero_jobs_are_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(delta.cli.experiment, ["figure-1", "--jobs", "0"])
    assert "argument --jobs: 0; expected 1 or more" in capsys.readouterr().err


def test_a_full_disk_behind_standard_output_is_one_line(tmp_path: Path) -> None:
    code = COMMAND.format(body="print('text')")
    done = shell(tmp_path, code, ">/dev/full")
    message = "standard output cannot be written to (No space left on device)\n"
    assert (done.returncode, done.stderr) == (1, message)
    done = shell(tmp_path, code, ">&-")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_failed_dvc_exp_run_says_how_to_undo_it_and_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.org")
    body = "from delta.core.errors import InputError; raise InputError('wrong')"
    Path("command.py").write_text(STAGE.format(body=body))
    Path("dvc.yaml").write_text(
        f"stages: {{a: {{cmd: '{sys.executable} command.py', params: [x], "
        "metrics: [metrics/a.json: {cache: false}]}}\n"
    )
    Path("params.yaml").write_text("x: 1\n")
    Path("metrics").mkdir()
    Path("metrics/a.json").write_text("{}\n")
    Path(".gitignore").write_text("logs/\n")
    for command in ("git init -q", "dvc init -q", "git add .", "git commit -qm state"):
        subprocess.run(command.split(), check=True)
    # 22 and not 2: Git takes a file of equal length and equal time for unchanged.
    run = ["dvc", "exp", "run", "-S", "x=22"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "`git checkout params.yaml metrics` restores" in done.stdout + done.stderr
    assert Path("params.yaml").read_text() == "x: 22\n"
    assert not Path("metrics/a.json").exists()
    subprocess.run(["git", "checkout", "params.yaml", "metrics"], check=True)
    assert Path("params.yaml").read_text() == "x: 1\n"
    status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, check=True)
    assert status.stdout == b""
