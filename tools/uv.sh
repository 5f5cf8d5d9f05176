#!/usr/bin/env bash
# Run an environment's uv with pip's settings: `tools/uv.sh PYTHON ARGUMENT…`. pip's indexes, folders
# of wheels, constraints and certificates apply, unless a variable of uv overrides them.
set -euo pipefail
python=$1
shift

settings=$("$python" -m pip config list 2>/dev/null)
setting() { # print a setting, separated by spaces; an environment variable of pip's wins
    sed -n "s/^[^=]*\.$1='\(.*\)'$/\1/p" <<<"$settings" | head -n 1 | sed 's/\\n/ /g; s/^ *//; s/  */ /g'
}
export_unless_set() {
    if [ -n "$2" ] && [ -z "${!1+set}" ]; then export "$1=$2"; fi
}
export_unless_set UV_DEFAULT_INDEX "$(setting index-url)"
export_unless_set UV_EXTRA_INDEX_URL "$(setting extra-index-url)"
export_unless_set UV_FIND_LINKS "$(setting find-links | tr ' ' ,)"
export_unless_set UV_CONSTRAINT "$(setting constraint)"
export_unless_set UV_HTTP_TIMEOUT "$(setting default-timeout)$(setting timeout)"
export_unless_set SSL_CERT_FILE "$(setting cert)"
# Like pip: take the best version of all indexes, not of the first that has the package.
export_unless_set UV_INDEX_STRATEGY unsafe-best-match
export UV_PYTHON_DOWNLOADS=never
exec "$python" -m uv "$@"
