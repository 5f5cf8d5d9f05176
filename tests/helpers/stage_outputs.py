"""The files that each stage writes, for workspaces whose stages are stand-ins."""

# {} is the name of the item.
OUTS = {
    "fetch": ["data/models/{}"],
    "questions": ["data/questions/{}.parquet", "data/counts/questions/{}.json"],
    "sft": ["data/models/{}", "data/counts/sft/{}.json"],
    "problems": [
        "data/problems.parquet",
        "data/dropped_problems.parquet",
        "data/counts/problems.json",
    ],
    "generate": ["data/traces/{}.parquet", "data/counts/generate/{}.json"],
    "verify": ["data/verdicts/{}.parquet", "data/counts/verify/{}.json"],
    "judge": [
        "data/ratings/{}.parquet",
        "data/second_ratings/{}.parquet",
        "data/counts/judge/{}.json",
        "data/counts/second/{}.json",
    ],
    "certify": ["data/counts/certify.json"],
    "pair": ["data/pairs.parquet", "data/counts/pair.json"],
    "select": [
        "data/selected.parquet",
        "data/training_pairs.parquet",
        "data/counts/select.json",
    ],
    "analyze": ["data/counts/analyze.json", "data/analysis/rows.json"],
    "train": [
        "data/models/policy",
        "data/counts/train.json",
        "data/training.tsv",
        "data/held_out.tsv",
    ],
    "evaluate": ["data/answers/{}/answers.parquet", "data/counts/evaluate/{}.json"],
    "summary": ["metrics/summary.json"],
    "viewer": ["report/pairs/index.html", "report/answers/index.html"],
    "report": [
        "report/claims.json",
        "report/claims.md",
        "report/figures/figure-1.svg",
        "report/index.html",
        "report/rows/figure-1.json",
        "report/scores.md",
        "metrics/plots/figure-1.svg",
    ],
}
