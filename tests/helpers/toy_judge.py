"""A judge of toy traces: its parameters, inputs and replies."""

import json
from typing import Any

from delta.judging.judge import JudgeInput, LlmParams

LOGIC = ("factuality", "strategy_coherence", "step_coherence", "computational_precision")
DIMENSIONS = (*LOGIC, "signal_to_noise")
GOOD = JudgeInput(
    "p.0/strong/0", r"What is $\frac{6}{2}$?", r"$\frac{6}{2} = 3$, so \boxed{3}. ${x}"
)
POOR = JudgeInput("p.0/weak/0", r"What is $\frac{6}{2}$?", "It is 4.")


def reply(score: Any = 4, **changes: Any) -> dict[str, Any]:
    """Return a judge's reply with `score` for factuality and 4 elsewhere."""
    rating = {"score": 4, "justification": "fine", "deductions_found": []}
    logic = {name: dict(rating) for name in LOGIC}
    logic["factuality"] |= {"score": score, **changes}
    return {"logic": logic, "brevity": {"signal_to_noise": rating}}


VALID = json.dumps(reply(2, justification="invents a 4", deductions_found=["magic numbers"]))
LLM = LlmParams(
    model="toy",
    votes=3,
    expectation=False,
    max_attempts=3,
    temperature=0.6,
    top_p=1.0,
    max_tokens=99,
    seed=4,
)
