# Sourced by build-deb and build-rpm after venv.sh: one wheel, and the tree that a package is made of.

# The Python that the package is for: Debian 12 and the RPM have 3.11. Bytecode and compiled wheels fit that one only.
PACKAGE_PYTHON=${PACKAGE_PYTHON:-3.11}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH PYTHONHASHSEED=0 LC_ALL=C.UTF-8 TZ=UTC
umask 022

package_version() {
    sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$here/virtual_kubelet/version.py"
}

# The interpreter of that version which makes virtual environments.
package_interpreter() {
    local candidate
    for candidate in "/usr/bin/python$PACKAGE_PYTHON" "python$PACKAGE_PYTHON"; do
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python $PACKAGE_PYTHON with venv; apt-get install python$PACKAGE_PYTHON-venv, or name another by PACKAGE_PYTHON"
}

# package_tree DIRECTORY GLIBC...: the files of a package, for these manylinux tags.
package_tree() {
    local destination=$1 work="$1.work" tags=()
    shift
    for tag in "$@"; do tags+=(--glibc "$tag"); done
    rm -rf "$destination" "$work"
    mkdir -p "$destination" "$work"
    "$(package_interpreter)" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24'
    "$work/venv/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work/wheel" "$here"
    "$work/venv/bin/python" "$here/scripts/lib/package_tree.py" --wheel "$work"/wheel/*.whl --python "$PACKAGE_PYTHON" \
        --epoch "$SOURCE_DATE_EPOCH" "${tags[@]}" --machine "$(uname -m)" "$destination"
    rm -rf "$work"
}
