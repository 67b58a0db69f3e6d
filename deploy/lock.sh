#!/bin/sh
# Writes the two lock files: names, versions and hashes for every platform, no host. Needs uv, in .venv or on the path.
set -eu
cd "$(dirname "$0")/.."

uv=.venv/bin/uv
[ -x "$uv" ] || uv=$(command -v uv) || {
    echo "hotline: make lock needs uv: install it, or run .venv/bin/pip install uv" >&2
    exit 1
}

# setuptools stands in the lock because the project itself is installed without build isolation
compile() {
    target=$1
    shift
    printf 'setuptools>=77\n' |
        UV_SYSTEM_CERTS=1 "$uv" pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
            --output-file "$target" "$@" pyproject.toml -
    echo "$target: $(grep -c '==' "$target") packages"
}

compile requirements.lock --extra local
compile requirements-dev.lock --extra local --extra lake --extra dev --constraint requirements.lock

# What strangers' clients have, apart from ours: `make interop`
UV_SYSTEM_CERTS=1 "$uv" pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
    --output-file tests/interop/requirements.lock tests/interop/requirements.in
