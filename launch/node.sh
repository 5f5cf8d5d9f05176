#!/usr/bin/env bash
# One machine with GPUs: what params.yaml says, from nothing to the report. After a stop the same
# command goes on. DRY=1 ends with the plan; ACCELERATOR=cpu is for a machine without a GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

make setup ACCELERATOR="${ACCELERATOR:-gpu}"
make plan
if [[ -z "${DRY:-}" ]]; then
    make repro
fi
