"""A program: it must pass every test, run in the sandbox (paper: LiveCodeBench; HumanEval is ours).

The gold answer is JSON of one of three kinds, with tests as delta.data.program_tests packs them:
    {"kind": "stdin", "tests": PACKED}                      output compared with the expected one
    {"kind": "call", "function": NAME, "tests": PACKED}     result compared with the expected JSON
    {"kind": "check", "prompt": ..., "function": NAME, "test": SOURCE}      a HumanEval problem

Expected outputs stay outside the sandbox, so neither an object that equals everything nor a walk
through frames finds them. A HumanEval check runs in a second sandbox, with its prompt's own names
and a function that has the program's answers as plain values: whatever the program redefines, it
redefines for itself.

Different from LiveCodeBench's own harness: each test is a process with real standard input (so
`open(0)`, `os.read(0, …)` and module-level `global` work), numbers are compared token by token,
tuples equal lists at any depth, and there is only the standard library.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from delta.data import program_tests
from delta.grading.code_extraction import bare_code, completed, program
from delta.grading.sandbox import CodeParams, Program, SandboxError, run, run_check
from delta.grading.verdict import Verdict

# LiveCodeBench runs every program after these imports, in this order, and programs count on them.
MODULES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random"),
    *("statistics", "itertools", "functools", "operator", "io", "sys", "json"),
)
PRELUDE = "\n".join(
    [
        *(f"from {module} import *" for module in (*MODULES, "builtins", "typing")),
        *(f"import {module}" for module in MODULES),
        "sys.setrecursionlimit(50_000)",
    ]
)
FIELDS = {
    "stdin": ("tests",),
    "call": ("function", "tests"),
    "check": ("prompt", "function", "test"),
}


def grade(gold_answer: str, answer: str | None, finish_reason: str, params: CodeParams) -> Verdict:
    """Correct where all tests are passed; the reason is that of the first test that is not."""
    if answer is None:
        return Verdict("incorrect", None, "cut")
    cut = finish_reason == "length"
    try:
        gold = _gold(gold_answer)
    except ValueError:
        return Verdict("ungradable", None, "unparsable_gold")
    code = program(answer, cut, gold.get("function"))
    if code is None and gold["kind"] == "check" and "```" not in answer:
        code = bare_code(answer)
    if code is None:
        return Verdict("incorrect", None, "cut" if cut else "no_code")
    try:
        reason = _first_failure(gold, code, params)
    except SandboxError as error:
        return Verdict("ungradable", code, f"sandbox: {error}")
    if reason == "bad_check":
        return Verdict("ungradable", None, "unparsable_gold")
    return Verdict("incorrect" if reason else "correct", code, reason)


def _gold(text: str) -> dict[str, Any]:
    """The gold answer, its tests unpacked and expected results read; ValueError where it is bad."""
    gold: dict[str, Any] = json.loads(text)
    fields = FIELDS.get(str(gold.get("kind"))) if isinstance(gold, dict) else None
    if not fields or not all(isinstance(gold.get(field), str) for field in fields):
        raise ValueError("not a gold answer for code")
    if "tests" in fields:
        gold["tests"] = [
            (test["input"], test["output"]) for test in program_tests.unpack(gold["tests"])
        ]
        if not gold["tests"]:
            raise ValueError("no tests")
    if gold["kind"] == "call":
        gold["tests"] = [_call(given, expected) for given, expected in gold["tests"]]
    return gold


def _call(given: str, expected: str) -> tuple[str, Any]:
    for argument in filter(str.strip, given.split("\n")):
        json.loads(argument)  # what the sandbox could not read would count against the program
    return given, json.loads(expected)


def _first_failure(gold: dict[str, Any], code: str, params: CodeParams) -> str | None:
    if gold["kind"] == "check":
        return _checked(gold, code, params)
    for given, expected in gold["tests"]:
        job = Program(gold["kind"], (PRELUDE, code), gold.get("function", ""), given)
        ran = run(job, params)
        if ran.reason:
            return ran.reason
        if gold["kind"] == "stdin":
            is_right = same_output(ran.output, expected)
        else:
            is_right = _same_result(ran.result, expected)
        if not is_right:
            return "wrong_answer"
    return None


def _checked(gold: dict[str, Any], code: str, params: CodeParams) -> str | None:
    function = gold["function"]
    program = Program("serve", completed(gold["prompt"], function, code), function)
    # The prompt ends with a docstring, and so is valid by itself.
    return run_check(
        program, Program("check", (gold["prompt"], gold["test"]), function), params
    ).reason


def same_output(output: str, expected: str) -> bool:
    """Line by line and token by token: the same text, or the same decimal number (1 and 1.00)."""
    lines, wanted = output.strip().split("\n"), expected.strip().split("\n")
    return len(lines) == len(wanted) and all(map(_same_line, lines, wanted))


def _same_line(line: str, wanted: str) -> bool:
    if line.strip() == wanted.strip():
        return True
    tokens, others = line.split(), wanted.split()
    return len(tokens) == len(others) and all(map(_same_token, tokens, others))


def _same_token(token: str, wanted: str) -> bool:
    try:
        # Exactly: a tolerance would make 50000000000000000 equal 50000000000000001.
        return token == wanted or Decimal(token) == Decimal(wanted)
    except InvalidOperation:
        return False


def _same_result(result: str | None, expected: Any) -> bool:
    try:
        return result is not None and bool(json.loads(result) == expected)
    except (ValueError, RecursionError):
        return False
