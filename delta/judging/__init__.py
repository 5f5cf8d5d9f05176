"""Ratings of traces by dimension: the rubric, the LLM judge and the rule judge."""
