#!/usr/bin/env bash
# Set up, plan and run params.yaml on one machine with GPUs. To resume after an interruption, run the
# same command. DRY=1 prints the plan and stops; ACCELERATOR=cpu is for a
# machine without a GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

make setup ACCELERATOR="${ACCELERATOR:-gpu}"
make plan
if [[ -z "${DRY:-}" ]]; then
    make repro
fi
