"""The pipeline of "Decomposing the Delta" (arXiv 2604.08723).

Rooms, in import order. Each imports only from those before it:
core (parameters, tables, files), prompts, stats, data (problems, models, recorded traces), solver
(worked solutions with faults), inference (engines, reply cache), grading (right or wrong), judging
(ratings), pairing (pairs and their selection), training, evaluation (benchmarks), certificate (what
a judge sees), analysis (of ratings and deltas), experiments (grids of runs), check.py (all of
params.yaml), report (figures, claims, pages), export (dataset and cards), plan (costs), cli
(`python -m delta COMMAND`). The stages of the pipeline are in `stages/`.
"""
