#!/usr/bin/env bash
# Rewrite requirements/*.txt from pyproject.toml, with every package pinned by version and SHA-256 for
# Linux on x86-64 and Python 3.11 to 3.13. Pins that still fit are kept; `--upgrade` takes the newest.
# running.txt is what running needs; each other file is what one group adds. Those in gpu/ are the same
# for ACCELERATOR=gpu. Only the packages' metadata is downloaded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${VENV:-.venv}/bin/python

# Only the main index: an extra one may lack some files of a version.
export PIP_EXTRA_INDEX_URL='' PIP_FIND_LINKS=''
# The marker that uv writes after every pin (`environments` of pyproject.toml). It is removed below.
everywhere="python_full_version < '3\.14' and implementation_name == 'cpython' and platform_machine == 'x86_64' and platform_python_implementation == 'CPython' and sys_platform == 'linux'"
compile() { # FILE OPTION…
    local file=requirements/$1
    shift
    tools/uv.sh "$python" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-annotate --custom-compile-command 'make lock' --output-file "$file" "$@"
    sed -i "s/ ; $everywhere / /" "$file"
    echo "$file: $(grep -c '==' "$file") packages"
}
compile_all() { # FOLDER ENGINE OPTION…: running.txt and the groups, in requirements/FOLDER
    local folder=$1 engine=$2 group running constraints
    shift 2
    set -- --excludes "requirements/${folder}excluded.txt" "$@"
    compile "${folder}running.txt" pyproject.toml --group "$engine" "$@"
    mapfile -t running < <(sed -n 's/==.*//p' "requirements/${folder}running.txt")
    constraints=(--constraint "requirements/${folder}running.txt")
    for group in s3 cluster fuzz tests; do
        compile "$folder$group.txt" pyproject.toml --group "$engine" --group "$group" \
            "${constraints[@]}" "${running[@]/#/--no-emit-package=}" "$@"
        constraints+=(--constraint "requirements/$folder$group.txt")
    done
}

compile setup.txt --group setup "$@"
compile_all '' cpu "$@"
# What pyproject.toml names has one version on both; the others are kept alike where they can be.
declared=$(mktemp)
trap 'rm -f "$declared"' EXIT
"$python" - >"$declared" <<'PYTHON'
import re, tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())
groups = project["dependency-groups"]
lines = project["project"]["dependencies"] + groups["s3"] + groups["cluster"] + groups["tests"]
declared = {re.match(r"[\w-]+", line)[0].lower() for line in lines}
for file in ("running", "s3", "cluster", "tests"):
    for pin in re.findall(r"^(\S+)==(\S+)", Path(f"requirements/{file}.txt").read_text(), re.M):
        if pin[0] in declared:
            print("==".join(pin))
PYTHON
for file in running s3 cluster fuzz tests; do
    [ -e "requirements/gpu/$file.txt" ] || cp "requirements/$file.txt" "requirements/gpu/"
done
compile_all gpu/ gpu --constraint "$declared" "$@"
