"""Compare the graders with published rows: golds, reference solutions and real model outputs.

    python -m bench.graders_on_real_rows [FOLDER]    # a minute; default: ../shared/real

The folder holds gsm8k_test.jsonl, gsm8k_example_model_solutions.jsonl, math500_test.jsonl,
aime24.jsonl, aime25.jsonl, minerva_ocw_test.jsonl, theoremqa_test.json and
mmlu_pro_llama31_8b_outputs.zip. The output is Markdown, the same in every run.
"""

import json
import logging
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from bench import results
from delta.core.types import Row
from delta.grading import choice_grader, math_grader, theoremqa_grader
from delta.grading.formulas.boxes import last_box
from delta.grading.formulas.cleaning import clean, without_units
from delta.grading.verdict import Verdict

FOLDER = Path(__file__).parents[2] / "shared" / "real"
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
Grade = Callable[[str, str | None, str], Verdict]


class Reference(NamedTuple):
    """A gold answer and a solution that ends in a box."""

    gold: str
    solution: str
    was_boxed: bool  # False: the solution has no box, the answer was put in one


def read_lines(path: Path) -> Iterator[Row]:
    # Iterating splits at "\n" only; str.splitlines() would also cut at U+2028 inside a text.
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield json.loads(line)


def box(answer: str) -> str:
    return f"\\boxed{{{answer}}}"


def to_reference(gold: str, solution: str, answer: str) -> Reference:
    if last_box(solution) is not None:
        return Reference(gold, solution, True)
    return Reference(gold, f"{solution}\n{box(answer)}", False)


def references(folder: Path) -> dict[str, list[Reference]]:
    """Return the references of each set. GSM8K's answers stand after `####`; they go into a box."""
    sets = {
        "MATH-500": [
            to_reference(row["answer"], row["solution"], row["answer"])
            for row in read_lines(folder / "math500_test.jsonl")
        ],
        "GSM8K": [
            to_reference(answer, solution, answer)
            for row in read_lines(folder / "gsm8k_test.jsonl")
            for solution, _, answer in [row["answer"].rpartition("\n#### ")]
        ],
        "Minerva": [
            to_reference(row["answer"], row["solution"], row["answer"])
            for row in read_lines(folder / "minerva_ocw_test.jsonl")
        ],
    }
    for year in ("24", "25"):
        sets[f"AIME 20{year}"] = [
            to_reference(row["expected_answer"], row["reference_solution"], row["expected_answer"])
            for row in read_lines(folder / f"aime{year}.jsonl")
        ]
    return sets


def change_answer(gold: str, others: list[str]) -> str:
    """Return another answer: the last digit plus one (9: minus one), or another row's gold.

    Units are dropped, because they are not compared."""
    gold = without_units(clean(gold))
    place = next((i for i in reversed(range(len(gold))) if gold[i].isdigit()), None)
    if place is None:
        return next(other for other in others if not re.search(r"\d", other) and other != gold)
    digit = "8" if gold[place] == "9" else str(int(gold[place]) + 1)
    return gold[:place] + digit + gold[place + 1 :]


def references_table(folder: Path) -> str:
    lines = [
        "| set | rows | own box / answer boxed by us | accepted | by Math-Verify's extraction | "
        "accepted with a digit changed |",
        "|---|---|---|---|---|---|",
    ]
    notes = []
    for name, rows in references(folder).items():
        own = sum(row.was_boxed for row in rows)
        golds = [row.gold for row in rows]
        wrong = [row for row in rows if not accepts(math_grader.grade, row.gold, row.solution)]
        theirs = sum(
            accepts(math_grader.grade_as_math_verify, row.gold, row.solution) for row in rows
        )
        wrongly_accepted = [
            gold
            for gold in golds
            if accepts(math_grader.grade, gold, box(change_answer(gold, golds)))
        ]
        lines.append(
            f"| {name} | {len(rows):,} | {own:,} / {len(rows) - own:,} | "
            f"{len(rows) - len(wrong):,} | {theirs:,} | {len(wrongly_accepted)} |"
        )
        notes += [f"- {name}: gold `{row.gold}` refused" for row in wrong]
        notes += [f"- {name}: gold `{gold}` accepts a changed answer" for gold in wrongly_accepted]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def accepts(grade: Grade, gold: str, answer: str) -> bool:
    return grade(gold, answer, "stop").outcome == "correct"


def models_table(folder: Path) -> str:
    """Return the table of GSM8K's example solutions; the text after the last "A: " is boxed."""
    questions = list(read_lines(folder / "gsm8k_test.jsonl"))
    solved = list(read_lines(folder / "gsm8k_example_model_solutions.jsonl"))
    lines = [
        "| model | solutions | stored right | ours right | no answer line | disagreements |",
        "|---|---|---|---|---|---|",
    ]
    notes = []
    for model in MODELS:
        counts: Counter[str] = Counter()
        for number, (question, solutions) in enumerate(zip(questions, solved, strict=True)):
            stored, solution = solutions[model]["is_correct"], solutions[model]["solution"]
            gold = question["answer"].rpartition("#### ")[2]
            mark, _, answer = solution.rpartition("\n")[2].partition("A: ")
            has_answer = bool(answer) and not mark
            verdict = math_grader.grade(gold, box(answer) if has_answer else solution, "stop")
            ours = verdict.outcome == "correct"
            counts.update({"stored": stored, "ours": ours, "none": not has_answer})
            if ours != stored:
                notes.append(
                    f"- {model}, question {number}: gold `{gold}`, stored {stored}, {verdict}"
                )
        lines.append(
            f"| {model} | {len(solved):,} | {counts['stored']:,} | {counts['ours']:,} | "
            f"{counts['none']} | {sum(note.startswith(f'- {model},') for note in notes)} |"
        )
    return "\n".join([*lines, *([""] if notes else []), *notes])


def first_letter(text: str) -> str | None:
    """Return the letter that MMLU-Pro's first expression extracts, if it matches."""
    match = re.search(r"answer is \(?([A-J])\)?", text)
    return match[1] if match else None


def difference_class(text: str, stored: str, ours: str | None) -> str:
    if ours == stored:
        return "same letter"
    if ours is not None and len(ours) > 1:
        return 'several ("(B) and (D)"): stored the first, ours no single letter'
    if ours is not None:
        return 'corrected: stored the first "answer is", ours the last'
    if first_letter(text):
        return 'stored the initial of a name ("answer is Elizabeth"), ours no letter'
    if re.search(r"\b[A-J]\b", text):
        return "no answer: stored the last capital in the text, ours no letter"
    return "no answer: stored a fixed guess, ours no letter"


def letters_table(folder: Path) -> str:
    with zipfile.ZipFile(folder / "mmlu_pro_llama31_8b_outputs.zip") as archive:
        rows = json.loads(archive.read(archive.namelist()[0]))
    classes: dict[str, list[tuple[int, bool, bool]]] = defaultdict(list)
    for row in rows:
        text, stored = row["generated_text"], row["pred"]
        verdict = choice_grader.grade(row["answer"], text, "stop")
        right = (stored == row["answer"], verdict.outcome == "correct")
        classes[difference_class(text, stored, verdict.extracted)].append(
            (row["question_id"], *right)
        )
    lines = ["| class | outputs | stored right | ours right | example |", "|---|---|---|---|---|"]
    by_size = sorted(classes.items(), key=lambda outputs: (-len(outputs[1]), outputs[0]))
    for name, outputs in [
        *by_size,
        ("all", [output for each in classes.values() for output in each]),
    ]:
        example = min(question for question, _, _ in outputs)
        lines.append(
            f"| {name} | {len(outputs):,} | {sum(output[1] for output in outputs):,} | "
            f"{sum(output[2] for output in outputs):,} | {'' if name == 'all' else example} |"
        )
    return "\n".join(lines)


def forms(kind: str, answer: Any) -> list[str]:
    """Return the answer in its own and three equivalent forms, as models write them in boxes."""
    if kind == "bool":
        word = "Yes" if answer else "No"
        return [
            str(answer),
            str(answer).lower(),
            f"\\text{{{word}}}",
            f"\\textbf{{{word.upper()}}}",
        ]
    if kind == "option":
        letter = answer.strip("()")
        return [answer, letter.upper(), f"\\text{{({letter})}}", f"\\text{{Option }} {letter}"]
    if kind == "integer":
        commas = f"{answer:,}".replace(",", "{,}")
        return [str(answer), commas, f"x = {answer}.0", f"{answer} \\text{{ ways}}"]
    if kind == "float":
        fraction = Fraction(str(answer))
        mantissa, _, exponent = f"{answer:.9e}".partition("e")
        return [
            str(answer),
            f"\\frac{{{fraction.numerator}}}{{{fraction.denominator}}}",
            f"{mantissa} \\times 10^{{{int(exponent)}}}",
            f"x \\approx {answer}\\,\\mathrm{{m}}",
        ]
    members = [str(member) for member in answer]
    return [
        str(answer),
        f"\\{{{', '.join(reversed(members))}\\}}",
        r"\begin{pmatrix} " + r" \\ ".join(members) + r" \end{pmatrix}",
        ", ".join(f"x_{{{place}}} = {member}" for place, member in enumerate(members)),
    ]


def wrong_answers(kind: str, answer: Any) -> list[Any]:
    if kind == "bool":
        return [not answer]
    if kind == "option":
        return ["(a)" if answer == "(e)" else "(e)"]
    if kind == "integer":
        return [answer + 1, answer - 1, -answer - 3]
    if kind == "float":
        return [answer * 1.05, answer * 0.95, -answer] if answer else [0.05, -1.0]
    longer, shorter = [*answer, answer[-1]], answer[:-1] or [answer[0] + 9]
    return [longer, shorter, [answer[0] + 99, *answer[1:]]]


def theorems_table(folder: Path) -> str:
    rows = json.loads((folder / "theoremqa_test.json").read_text(encoding="utf-8"))
    lines = [
        "| type | golds | with text only | accepted in 4 forms, typed | and as the hub's text | "
        "changed golds refused |",
        "|---|---|---|---|---|---|",
    ]
    notes: list[str] = []
    totals: Counter[str] = Counter()
    for kind in sorted({row["Answer_type"] for row in rows}):
        counts: Counter[str] = Counter()
        for row in (row for row in rows if row["Answer_type"] == kind):
            counts.update(all=1, text=row["Picture"] is None)
            counts.update(_count_theorem(kind, row["Answer"], notes))
        totals.update(counts)
        lines.append(_theorem_line(kind, counts))
    return "\n".join([*lines, _theorem_line("all", totals), *([""] if notes else []), *notes])


def _count_theorem(kind: str, answer: Any, notes: list[str]) -> dict[str, int]:
    counts = {"changed": 0, "refused": 0}
    for name, gold_value in (("typed", answer), ("hub", str(answer))):
        gold = json.dumps({"answer_type": kind, "answer": gold_value})
        refused = [form for form in forms(kind, answer) if not _accepts_theorem(gold, form)]
        counts[name] = int(not refused)
        notes += [f"- {gold} refused `{form}`" for form in refused]
    for other in wrong_answers(kind, answer):
        mistaken = [form for form in forms(kind, other) if _accepts_theorem(gold, form)]
        counts["changed"] += 1
        counts["refused"] += not mistaken
        notes += [f"- {gold} took `{form}`" for form in mistaken]
    return counts


def _accepts_theorem(gold: str, form: str) -> bool:
    return accepts(theoremqa_grader.grade, gold, box(form))


def _theorem_line(kind: str, counts: Counter[str]) -> str:
    return (
        f"| {kind} | {counts['all']} | {counts['text']} | {counts['typed']} | {counts['hub']} | "
        f"{counts['refused']:,} of {counts['changed']:,} |"
    )


TABLES: dict[str, Callable[[Path], str]] = {
    "Gold answers against reference solutions": references_table,
    "GSM8K: four models' solutions against the stored verdicts": models_table,
    "MMLU-Pro: our letter against the stored one": letters_table,
    "TheoremQA: every gold in its own and three equivalent forms": theorems_table,
}


def main() -> None:
    parser = results.argument_parser(__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=FOLDER, help="of the published rows"
    )
    folder = parser.parse_args().folder
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # a warning that alarms are off
    for title, table in TABLES.items():
        print(f"### {title}\n\n{table(folder)}\n")


if __name__ == "__main__":
    main()
