#!/usr/bin/env bash
# Create, update or remove the environment in $VENV:
#   tools/environment.sh sync [GROUP…]   install what running needs, and these groups of pyproject.toml
#   tools/environment.sh remove
# Groups are never removed. Nothing happens if everything is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$(pwd -P)

venv=${VENV:-.venv}
accelerator=${ACCELERATOR:-cpu}
stamp=$venv/.complete-$accelerator # "DIGEST GROUP…", written last
clones=$venv/.clones               # the clones that use it, one path per line
quiet=(--quiet)
if [ -t 2 ]; then quiet=(); fi # uv shows its progress on a terminal

fail() {
    echo "set-up: $*" >&2
    exit 1
}

# Fail unless $VENV may be changed or removed: it must be an environment, not a link (which may lead
# to another clone's), and neither made nor used by another clone.
check_ours() {
    if [ -L "$venv" ] || { [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ]; }; then
        fail "$venv is a link, or no virtual environment: left alone"
    fi
    [ -e "$venv" ] || return 0
    local clone ours='' change="$venv would have to change (other versions, or make clean)"
    case $(realpath "$venv") in "$root"/*) ours=yes ;; esac
    if [ -e "$clones" ]; then
        while IFS= read -r clone; do
            if [ "$clone" = "$root" ]; then
                ours=yes
            elif [ -d "$clone" ]; then
                fail "$change, and $clone uses it: left alone; give this clone another (VENV=...), or take that line out of $clones"
            fi
        done <"$clones"
    fi
    [ -n "$ours" ] ||
        fail "$change, and was not made by this clone: left alone; give this clone another (VENV=...), or remove that folder yourself"
}

# Print the first suitable Python. $PYTHON names one; the environment's own is not considered.
find_python() {
    local name path fits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
    PATH=${PATH//"$(realpath -m "$venv")/bin:"/}
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if path=$(command -v "$name") && "$path" -c "$fits" 2>/dev/null; then
            echo "$path"
            return
        fi
    done
    fail "needs Python 3.11 to 3.13 with its venv module (Debian: apt-get install python3-venv); PYTHON=/path/to/python names one"
}

# Install the locks in $folder. PyTorch's own index, tried when that fails, serves the CPU's build.
install_locked() {
    local files=(${torch:+"$torch"} "$folder/running.txt")
    # No constraints: every version is pinned, and with hashes uv accepts only hashed constraints.
    local sync=(env UV_CONSTRAINT= tools/uv.sh "$venv/bin/python" pip sync "${quiet[@]}" --require-hashes --no-build-isolation)
    for group in $groups; do
        files+=("$folder/$group.txt")
    done
    "${sync[@]}" "${files[@]}" && return
    [ -n "$torch" ] || return 1
    echo "set-up: that failed; trying PyTorch's own index" >&2
    "${sync[@]}" --torch-backend cpu "${files[@]}"
}

sync() {
    local folder=requirements torch=requirements/torch.txt digest old groups python
    local pinned=(requirements/*.txt)
    if [ "$accelerator" = gpu ]; then # with the CUDA build of torch, which the main index has
        folder=requirements/gpu torch=''
        pinned=(requirements/setup.txt requirements/gpu/*.txt)
        set -- cluster s3 "$@"
    fi
    for group in "$@"; do
        [[ $group =~ ^(cluster|fuzz|s3|tests)$ ]] ||
            fail "$group: no such group; expected one of cluster, fuzz, s3, tests"
    done
    digest=$(cat "${pinned[@]}" | sha256sum | cut -d ' ' -f 1)
    read -r old groups < <(cat "$stamp" 2>/dev/null) || true
    # shellcheck disable=SC2086
    groups=$(printf '%s\n' $groups "$@" | sort -u | xargs)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$digest${groups:+ $groups}" ]; then
        [ "$old" = "$digest" ] || check_ours # adding groups cannot break another clone
        if [ ! -e "$stamp" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
            python=$(find_python)
            echo "set-up: $venv with $("$python" -V) ($accelerator), 1 to 5 minutes"
            "$python" -m venv --clear "$venv"
            echo "$root" >"$clones"
        fi
        # Without a stamp the next run starts from nothing, so no partly installed package remains.
        rm -f "$stamp"
        "$venv/bin/python" -m pip install -qq --no-compile --no-deps --require-hashes -r requirements/setup.txt
        install_locked
        echo "$digest${groups:+ $groups}" >"$stamp"
    fi
    grep -qxF "$root" "$clones" 2>/dev/null || echo "$root" >>"$clones" 2>/dev/null || true
}

case ${1:-} in
sync)
    shift
    sync "$@"
    ;;
remove)
    check_ours
    rm -rf "$venv"
    ;;
*) fail "$0: expected sync or remove" ;;
esac
