r"""Write traces of 1,000 to 25,000 characters, eight per problem, for benchmarks of grading.

The problems are those of MATH-500 and GSM8K where ../shared/real holds them, with their reference
solutions and four models' solutions; otherwise those of reasoning-gym. No file holds long traces,
so solutions of other problems, without their boxes, precede the solution like failed attempts.
Correct, incorrect, corrected, unboxed and truncated answers follow in fixed
proportions.
"""

import itertools
import math
import random
import re
from pathlib import Path
from typing import NamedTuple

from bench.graders_on_real_rows import FOLDER, MODELS, box, change_answer, read_lines
from delta.data.reasoning_gym import TaskParams, generate_problems

SHORTEST, MEDIAN, LONGEST, SPREAD = 1_000, 5_000, 25_000, 0.9  # characters; sigma of the logarithm
BOX = re.compile(r"\\boxed\s*\{")
TURNS = ("Wait, is that what was asked?", "Hmm, let me think again.", "Alternatively,", "So,", "")
TASKS = {
    "chain_sum": {"min_terms": 3, "max_terms": 6},
    "fraction_simplification": {},
    "simple_equations": {},
    "gcd": {},
}


class Problem(NamedTuple):
    gold: str
    reference: str  # a solution; its answer is boxed, or follows it
    solutions: tuple[tuple[str, str], ...]  # of models: the text before the answer, the answer


class LongTrace(NamedTuple):
    kind: str
    gold: str
    text: str
    finish_reason: str


def long_traces(problems: int, seed: int) -> tuple[str, list[LongTrace]]:
    """Return the source of the problems and their traces; equal seeds give equal traces."""
    chance = random.Random(seed)
    source, problem_list = (
        published_problems(FOLDER)
        if FOLDER.is_dir()
        else generated_problems(max(problems, 100), seed)
    )
    golds = [problem.gold for problem in problem_list]
    paragraphs = [
        paragraph
        for problem in problem_list
        for text in (problem.reference, *(solution for solution, _ in problem.solutions))
        for paragraph in BOX.sub("{", text).split("\n")
        if paragraph.strip()
    ]
    return source, [
        LongTrace(kind, problem.gold, f"{_reasoning(chance, paragraphs)}\n\n{end}", reason)
        for problem in itertools.islice(itertools.cycle(problem_list), problems)
        for kind, end, reason in _ends(problem, change_answer(problem.gold, golds))
    ]


def _ends(problem: Problem, wrong: str) -> list[tuple[str, str, str]]:
    """Return eight endings: kind, text, finish reason."""
    right, reference = problem.gold, problem.reference
    own = [("model's solution", f"{text}\nA: {box(answer)}") for text, answer in problem.solutions]
    ends = [
        *own,
        ("reference solution", reference if BOX.search(reference) else f"{reference} {box(right)}"),
        ("corrected", f"So it is {box(wrong)}. No, I made a slip there.\n\nIt is ${box(right)}$."),
        ("no box", f"Therefore the answer is ${right}$."),
        ("cut", "Let me check this with"),
        ("right, display", f"Thus\n\\[\n{box(right)}\n\\]"),
        ("wrong", f"**Final Answer**\n{box(wrong)}"),
        ("right, inline", f"The final answer is ${box(right)}$. I hope it is correct."),
        ("wrong, restated", f"We get ${box(wrong)}$.\n\nAnswer: ${box(wrong)}$, as was shown."),
    ]
    return [(kind, text, "length" if kind == "cut" else "stop") for kind, text in ends[:8]]


def _reasoning(chance: random.Random, paragraphs: list[str]) -> str:
    target = min(LONGEST, max(SHORTEST, chance.lognormvariate(math.log(MEDIAN), SPREAD)))
    parts, length = list[str](), 0
    while length < target:
        parts.append(f"{chance.choice(TURNS)} {chance.choice(paragraphs)}".strip())
        length += len(parts[-1]) + 1
    return "\n".join(parts)[: int(target)]


def published_problems(folder: Path) -> tuple[str, list[Problem]]:
    """Return problems of MATH-500 and GSM8K alternately, then the rest of the longer set."""
    hard = [
        Problem(row["answer"], row["solution"], ())
        for row in read_lines(folder / "math500_test.jsonl")
    ]
    easy = []
    solved = read_lines(folder / "gsm8k_example_model_solutions.jsonl")
    for row, solutions in zip(read_lines(folder / "gsm8k_test.jsonl"), solved, strict=True):
        reference, _, gold = row["answer"].rpartition("\n#### ")
        own = [solutions[model]["solution"].partition("\nA: ")[::2] for model in MODELS]
        easy.append(Problem(gold, reference, tuple((text, answer) for text, answer in own)))
    mixed = [
        problem
        for both in itertools.zip_longest(hard, easy)
        for problem in both
        if problem is not None
    ]
    return "MATH-500 and GSM8K", mixed


def generated_problems(problems: int, seed: int) -> tuple[str, list[Problem]]:
    """Return problems of reasoning-gym with a solution from a template."""
    each = math.ceil(problems / len(TASKS))
    rows_by_task = [
        generate_problems(
            task, TaskParams(task=task, seed=seed, problems=each, options=dict(options)), each
        )
        for task, options in TASKS.items()
    ]
    return "reasoning-gym", [
        Problem(
            row["gold_answer"],
            "\n".join(
                (
                    row["statement"],
                    "Let $x$ be what is asked for. Then",
                    f"\\[x = {row['gold_answer']}\\]",
                    "so that $2 \\cdot x$ is twice that, and the result is",
                )
            ),
            (),
        )
        for rows in zip(*rows_by_task, strict=True)
        for row in rows
    ]
