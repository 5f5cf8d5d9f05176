"""Arithmetic problems with their steps, in which tests plant faults."""

import json

from delta.data.arithmetic import Arithmetic, generate_problems
from delta.data.steps import Step

KINDS = ("expression", "product", "words", "story", "sequence")


def worked_problems(kind: str, number: int, seed: int) -> list[tuple[str, list[Step]]]:
    """Return so many problems of four numbers up to 20, as statements with their steps."""
    options = {"terms": 4, "operators": "+-", "lowest": 1, "highest": 20}
    params = Arithmetic(kind=kind, seed=seed, options=options)  # type: ignore[arg-type]
    rows = generate_problems("arithmetic", params, number)
    return [
        (row["statement"], [Step(*step) for step in json.loads(row["metadata"])["steps"]])
        for row in rows
    ]
