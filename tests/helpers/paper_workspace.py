"""A workspace of profiles/paper.yaml or gpu.yaml with fixtures as its sources and tiny models.

Otherwise only sizes and hardware differ from the recipe.
"""

import json
from pathlib import Path
from typing import Any

from delta.core import fingerprint
from delta.core.digests import sha256_of
from tests.helpers import benchmark_rows, openr1_rows
from tests.helpers.fake_server import FakeServer
from tests.helpers.import_closure import ROOT
from tests.helpers.pipeline_workspace import use_server
from tests.helpers.tiny_model_families import FAMILIES, write_model_family
from tests.helpers.workspace import DvcWorkspace

PROBLEMS = 24
SELECTED = 8  # pairs; fewer than half of all, even if some texts are equal
EVALUATED = {  # base and policy, and one of the other models of Table 2
    "paper": ("nemotron-8b", "policy", "s1-3b"),
    "gpu": ("qwen2_5-1_5b", "policy", "qwen3-0_6b"),
}
FORMS = {"gpqa-diamond": "gpqa"}  # benchmarks whose format has another name


def openr1(folder: Path) -> dict[str, Any]:
    """Write problems that the server can solve, each with a correct and an incorrect trace."""
    words = ("apples", "books", "cups", "doors", "eggs", "forks")
    rows = [
        openr1_rows.row(
            f"{words[i % 6].capitalize()} lie in {i + 2} heaps of {i // 6 + 3} in room {i}. "
            f"How many are there? It should be {(i + 2) * (i // 6 + 3)}.",
            str((i + 2) * (i // 6 + 3)),
        )
        for i in range(PROBLEMS)
    ]
    unpairable = [openr1_rows.row("All were right: it should be 4.", "4")]
    unpairable[0]["correctness_math_verify"] = [True, True]
    source = openr1_rows.write_source(folder / "openr1.parquet", rows + unpairable)
    return source.model_dump(exclude_none=True)


def prmbench(folder: Path) -> dict[str, Any]:
    """Write a row as in PRMBench and return the source that reads it."""
    row = {
        "original_question": "What is 1 + 2?",
        "original_process": ["1. Add.", "2. 1 + 2 = 3."],
        "modified_process": ["1. Add.", "2. 1 + 2 = 4."],
        "classification": "counterfactual",
    }
    path = folder / "prmbench.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return {"file": {"path": str(path), "sha256": sha256_of(path)}}


def create_paper_workspace(
    folder: Path, server: FakeServer, profile: str = "paper"
) -> DvcWorkspace:
    space = DvcWorkspace(folder / "space", ROOT / f"profiles/{profile}.yaml")
    fixtures = folder / "fixtures"
    data = openr1(fixtures)

    def change(content: dict[str, Any]) -> None:
        for number, (name, model) in enumerate(content["models"].items()):
            family = content["serving"][name]["chat_format"]
            if "recording" in model:
                model["recording"]["openr1"]["data"] = data
            else:
                assert family in FAMILIES
                write_model_family(fixtures / name, family, seed=number)
                path = fixtures / name
                source: dict[str, Any] = {
                    "path": str(path),
                    "sha256": fingerprint.compute_fingerprint(path),
                }
                source["code"] = content["serving"][name].get("trust_remote_code", False)
                content["models"][name] = {"folder": source}
        content["problems"]["sources"]["openr1"]["openr1"]["data"] = data
        content["problems"]["sample"] = PROBLEMS - 4
        content["certify"]["pairs"] = 8
        content["certify"]["sources"]["prmbench"]["data"] = prmbench(fixtures)
        models = content["evaluation"]["models"]
        content["evaluation"]["models"] = {name: models[name] for name in EVALUATED[profile]}
        recordings = [name for name, model in content["models"].items() if "recording" in model]
        use_server(content, server.url, *sorted(set(content["serving"]) - set(recordings)))
        content["grading"]["workers"] = 2
        content["selector"]["k"] = SELECTED
        content["train"] |= {"num_processes": 1, "fsdp": False}
        content["train"] |= {"bf16": False, "gradient_accumulation_steps": 1}
        content["train"]["early_stopping"] |= {"held_out": 0.2, "eval_steps": 1}
        for method in ("dpo", "kto"):
            content["train"][method]["max_steps"] = 3
        for name, benchmark in content["benchmarks"].items():
            form = FORMS.get(name, name)
            toy = benchmark_rows.benchmark_section(fixtures, form)["source"]
            benchmark["source"] |= {key: toy[key] for key in ("data", "examples") if key in toy}

    space.edit(change)
    space.commit()
    return space
