#!/bin/sh
# Makes .venv from a lock file with hashes, or sees that it is made: environment.sh requirements.lock|requirements-dev.lock
# Quick when nothing changed. What fails is said in one line; what pip said is in .venv/pip.log.
set -eu
cd "$(dirname "$0")/.."
lock=$1
log=.venv/pip.log

complain() {
    echo "hotline: $1" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14 python; do
        if command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    complain "Python 3.11 or newer with its venv module is needed (on Debian also the package python3-venv); PYTHON=/path/to/python names one"
}

# What pip could not do, in one line without a host.
explain() {
    if grep -q 'No space left on device\|Disk quota exceeded' "$log" 2>/dev/null; then
        complain "disk full while installing packages (see $log)"
    elif grep -q 'DO NOT MATCH THE HASHES' "$log" 2>/dev/null; then
        complain "a package is not what $lock says; nothing of it was installed (see $log)"
    elif grep -q 'Max retries\|NewConnectionError\|ConnectTimeout\|ReadTimeout\|Retrying (\|Could not fetch URL\|ConnectionError\|SSLError' "$log" 2>/dev/null; then
        complain "the package index cannot be reached: is pip configured for this network? (see $log)"
    elif grep -q 'No matching distribution' "$log" 2>/dev/null; then
        complain "the package index lacks something for this machine: $(grep -m1 -o 'No matching distribution found for [^ ]*' "$log") (see $log)"
    fi
    [ -s "$log" ] && echo probe >.venv/probe 2>/dev/null || complain "packages cannot be installed: is the disk full?"
    complain "packages cannot be installed (see $log)"
}

install() {
    .venv/bin/python -m pip install --no-input --disable-pip-version-check --no-warn-script-location --quiet \
        --root-user-action ignore --retries 2 --timeout 20 --log "$log" "$@" >/dev/null 2>&1 || explain
}

# What an environment made from a lock is known by: the lock, the project's own list, and where it lies.
mark() {
    echo "$(cat "$1" pyproject.toml | cksum) $(pwd)"
}

stamp() {
    echo ".venv/stamp-$1"
}

if [ -x .venv/bin/python ] && [ "$(cat "$(stamp "$lock")" 2>/dev/null)" = "$(mark "$lock")" ]; then
    exit 0
fi

if ! [ -x .venv/bin/python ] || ! is_new_enough .venv/bin/python; then
    python=$(find_python)
    echo "hotline: making .venv with $("$python" -V)"
    "$python" -m venv --clear .venv >/dev/null 2>&1 || complain "cannot make .venv: is there room on the disk and a right to write in $(pwd)?"
fi
echo "hotline: installing the packages of $lock"
rm -f "$log"
install --require-hashes -r "$lock"
install --no-deps --no-build-isolation --editable .
# the lock for development holds all of the other one, in the same versions
for made in "$lock" requirements.lock; do
    mark "$made" >"$(stamp "$made")" 2>/dev/null || complain "cannot write $(stamp "$made"): is the disk full?"
done
