"""The real rows of six benchmarks, if their files are available, and of HumanEval's wheel."""

import ast
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from delta.core.digests import sha256_of
from tests.helpers.benchmark_rows import benchmark_section, gold_answers, read_questions
from tests.helpers.import_closure import ROOT

REAL = ROOT.parent / "shared" / "real"

REAL_FILES: dict[str, tuple[str, dict[str, Any], int, dict[str, int]]] = {
    "math500_test.jsonl": ("math-500", {}, 500, {}),
    "gsm8k_test.jsonl": ("gsm8k", {}, 1319, {}),
    "aime24.jsonl": ("aime24", {}, 30, {}),
    "aime25.jsonl": ("aime25", {}, 30, {}),
    "minerva_ocw_test.jsonl": ("minerva", {}, 272, {}),
    "theoremqa_test.json": ("theoremqa", {"pictures": "drop"}, 747, {"picture": 53}),
}


def benchmark_of(form: str, path: Path, **keys: Any) -> dict[str, Any]:
    data = {"file": {"path": str(path), "sha256": sha256_of(path)}}
    source = {"format": form, "data": data} | keys
    return {"group": "easy", "samples": 1, "questions": None, "max_tokens": 8, "source": source}


@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/real")
@pytest.mark.parametrize("file", REAL_FILES)
def test_every_row_of_a_real_file_is_read(file: str) -> None:
    form, keys, kept, dropped = REAL_FILES[file]
    rows, counts = read_questions(benchmark_of(form, REAL / file, **keys))
    print(file, counts)  # noqa: T201
    assert (len(rows), counts["dropped"], counts["repeated"]) == (kept, dropped, 0)


@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/real")
def test_theoremqa_has_800_questions_with_pictures() -> None:
    rows, _ = read_questions(
        benchmark_of("theoremqa", REAL / "theoremqa_test.json", pictures="keep")
    )
    assert len(rows) == 800


@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/real")
def test_thousands_commas_in_gsm8k_gold_answers_are_removed() -> None:
    rows, _ = read_questions(benchmark_of("gsm8k", REAL / "gsm8k_test.jsonl"))
    source = [json.loads(line) for line in (REAL / "gsm8k_test.jsonl").open(encoding="utf-8")]
    commas = [index for index, row in enumerate(source) if "," in row["answer"].split("####")[1]]
    assert len(commas) == 14
    assert all(rows[index]["gold_answer"].isdigit() for index in commas)
    assert rows[commas[0]]["gold_answer"] == "2125"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/real")
def test_every_row_of_mmlu_pro_is_a_question(tmp_path: Path) -> None:
    with zipfile.ZipFile(REAL / "mmlu_pro_llama31_8b_outputs.zip") as archive:
        (name,) = archive.namelist()
        source = json.loads(archive.read(name))
    for row in source:
        if isinstance(row["options"], str):  # this file has most lists as Python source
            row["options"] = ast.literal_eval(row["options"])
    entry = benchmark_section(tmp_path, "mmlu-pro", source, shots=0, examples=None)
    rows, counts = read_questions(entry)
    print(counts)  # noqa: T201
    assert len(rows) == 12_032
    assert gold_answers(rows) == [row["answer"] for row in source]
    (wrong_index,) = [row for row in source if "ABCDEFGHIJ"[row["answer_index"]] != row["answer"]]
    assert wrong_index["question_id"] == 3983


@pytest.mark.slow
def test_the_wheel_of_humaneval_has_164_problems() -> None:
    smoke = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())["benchmarks"]["humaneval"]
    rows, _ = read_questions(smoke | {"questions": None})
    assert len(rows) == 164
