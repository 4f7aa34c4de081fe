# Sourced by the scripts beside it: finds a Python and makes a virtual environment.

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# Print a Python that is new enough.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.10 or newer found; install python3, or name one by PYTHON=/path/to/python"
}

# make_venv DIRECTORY: make it, or use it again when it still works.
make_venv() {
    local python
    python=$(find_python)
    if [ -x "$1/bin/python" ] && "$1/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "this Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"
    rm -rf "$1"
    "$python" -m venv "$1" || fail "could not make a virtual environment in $1"
}
