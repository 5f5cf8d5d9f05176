"""Grade a program: it must pass every test in the sandbox (LiveCodeBench; we add HumanEval).

The gold answer is JSON of one of three kinds, with tests as delta.data.program_tests packs them:
    {"kind": "stdin", "tests": PACKED}                      output compared with the expected one
    {"kind": "call", "function": NAME, "tests": PACKED}     result compared with the expected JSON
    {"kind": "check", "prompt": ..., "function": NAME, "test": SOURCE}      a HumanEval problem

Expected outputs stay outside the sandbox, so no program can find them by walking through frames, or
pass with an object that equals everything. A HumanEval check runs in a second sandbox, with the
names of its prompt and a function that returns the program's results as plain values. Whatever the
program redefines, the check does not see it.

Unlike in LiveCodeBench's own harness, each test is a process with real standard input (so
`open(0)`, `os.read(0, …)` and module-level `global` work). Numbers are compared token by token,
tuples equal lists at any depth, and only the standard library is installed.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from delta.data import program_tests
from delta.grading.code_extraction import complete_prompt, extract_program, unfenced_code
from delta.grading.config import CodeParams
from delta.grading.sandbox import Program, SandboxError, run, run_check
from delta.grading.verdict import Verdict, verdict_without_answer

# LiveCodeBench runs every program after these imports, in this order, and programs rely on them.
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
    """Return "correct" if all tests pass, else the reason of the first failed test.

    `answer` is the reply after its reasoning; None: cut before that.
    """
    if answer is None:
        return verdict_without_answer(answer, finish_reason, "no_code")
    try:
        gold = _parse_gold(gold_answer)
    except ValueError:
        return Verdict("ungradable", None, "unparsable_gold")
    code = extract_program(answer, finish_reason == "length", gold.get("function"))
    if code is None and gold["kind"] == "check" and "```" not in answer:
        code = unfenced_code(answer)
    if code is None:
        return verdict_without_answer(answer, finish_reason, "no_code")
    try:
        reason = _first_failure(gold, code, params)
    except SandboxError as error:
        return Verdict("ungradable", code, f"sandbox: {error}")
    if reason == "bad_check":
        return Verdict("ungradable", None, "unparsable_gold")
    return Verdict("incorrect" if reason else "correct", code, reason)


def _parse_gold(text: str) -> dict[str, Any]:
    """Return the gold answer with unpacked tests and parsed results. Raises ValueError."""
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
        for arguments, _ in gold["tests"]:
            for argument in filter(str.strip, arguments.split("\n")):
                json.loads(argument)  # else the sandbox would fail, and the program count as wrong
        gold["tests"] = [(arguments, json.loads(result)) for arguments, result in gold["tests"]]
    return gold


def _first_failure(gold: dict[str, Any], code: str, params: CodeParams) -> str | None:
    kind, function = gold["kind"], gold.get("function", "")
    if kind == "check":
        program = Program("serve", complete_prompt(gold["prompt"], function, code), function)
        # The prompt ends with a docstring, and so is valid by itself.
        check = Program("check", (gold["prompt"], gold["test"]), function)
        return run_check(program, check, params).reason
    for test_input, expected in gold["tests"]:
        result = run(Program(kind, (PRELUDE, code), function, test_input), params)
        if result.reason:
            return result.reason
        if kind == "stdin":
            is_correct = same_output(result.output, expected)
        else:
            is_correct = _same_result(result.result, expected)
        if not is_correct:
            return "wrong_answer"
    return None


def same_output(output: str, expected: str) -> bool:
    """Compare line by line and token by token: as texts, or as decimal numbers (1 and 1.00)."""
    lines, expected_lines = output.strip().split("\n"), expected.strip().split("\n")
    return len(lines) == len(expected_lines) and all(map(_same_line, lines, expected_lines))


def _same_line(line: str, expected: str) -> bool:
    if line.strip() == expected.strip():
        return True
    tokens, expected_tokens = line.split(), expected.split()
    return len(tokens) == len(expected_tokens) and all(map(_same_token, tokens, expected_tokens))


def _same_token(token: str, expected: str) -> bool:
    try:
        # No tolerance: it would make 50000000000000000 equal 50000000000000001.
        return token == expected or Decimal(token) == Decimal(expected)
    except InvalidOperation:
        return False


def _same_result(result: str | None, expected: Any) -> bool:
    try:
        return result is not None and bool(json.loads(result) == expected)
    except (ValueError, RecursionError):
        return False
