#!/usr/bin/env bash
# Set up, plan and run params.yaml on one machine with GPUs. In Git that file is the laptop's: first
# `cp profiles/paper.yaml params.yaml` (docs/clusters.md). To resume after an interruption, run the
# same command. DOWNLOADS=1 stops after models, questions and problems, which need the network and no
# GPU: run it first on a machine with the same files that costs less. DRY=1 prints the plan and stops.
# ACCELERATOR=cpu is for a machine that never has a GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

make setup ACCELERATOR="${ACCELERATOR:-gpu}"
make plan
if [[ -n "${DRY:-}" ]]; then
    exit
elif [[ -n "${DOWNLOADS:-}" ]]; then
    make downloads
else
    make repro # begins with the same downloads where they are missing
fi
