#!/usr/bin/env bash
# Rewrite requirements/*.txt from pyproject.toml, with every package pinned by version and SHA-256 for
# Linux on x86-64 and Python 3.11 to 3.13. Pins that still fit are kept; `--upgrade` takes the newest.
# running.txt is what running needs; each other file is what one group adds.
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
        --no-annotate --custom-compile-command 'make lock' --excludes requirements/excluded.txt \
        --output-file "$file" "$@"
    sed -i "s/ ; $everywhere / /" "$file"
    echo "$file: $(grep -c '==' "$file") packages"
}

compile setup.txt --group setup "$@"
compile running.txt pyproject.toml --group cpu "$@"
mapfile -t running < <(sed -n 's/==.*//p' requirements/running.txt)
constraints=(--constraint requirements/running.txt)
for group in s3 cluster fuzz tests; do
    compile "$group.txt" pyproject.toml --group cpu --group "$group" "${constraints[@]}" \
        "${running[@]/#/--no-emit-package=}" "$@"
    constraints+=(--constraint "requirements/$group.txt")
done
