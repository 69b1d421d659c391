#!/usr/bin/env bash
# Tests the whole package for 64-bit ARM on another machine: a cross compiler builds it, and an
# emulator of user programs runs it.
#
#     tools/aarch64.sh                  a few minutes: `nncore info` must show neon; some tests that
#                                       instruction sets agree; the hashes of trained weights
#     tools/aarch64.sh full             all tests; an hour or more
#     tools/aarch64.sh run COMMAND...   a command there, such as: python -m pytest tests/test_idx.py
#
# Needs aarch64-linux-gnu-gcc and qemu-aarch64 (Debian: gcc-aarch64-linux-gnu, qemu-user), apt-get
# and dpkg-deb, and PYTHON (else python3.11) with Cython, NumPy, setuptools and pip. This Debian
# must have packages of the same version of Python. If something is missing, the script says what it
# is and that all is SKIPPED, and its exit code is 0.
#
# The emulated machine is a folder with Debian's packages of Python for arm64, and with NumPy,
# pytest and hypothesis from the package index. apt fetches Debian's packages with a state of its
# own, so that the architectures and packages of this machine do not change. The folder is
# NNCORE_AARCH64 (else nncore-aarch64 in the user's cache folder) and takes about 200 MB. Remove it
# to fetch everything again.
set -euo pipefail
cd "$(dirname "$0")/.."

source=$PWD
python=${PYTHON:-python3.11}
kept=${NNCORE_AARCH64:-${XDG_CACHE_HOME:-$HOME/.cache}/nncore-aarch64}
cross=aarch64-linux-gnu-gcc

skip() {
    echo "SKIPPED: the package on aarch64: $1"
    exit 0
}

emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) ||
    skip "qemu-aarch64 is not installed"
for tool in "$cross" apt-get dpkg-deb "$python"; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
"$python" -c 'import Cython, numpy, setuptools, pip' 2>/dev/null ||
    skip "$python lacks Cython, NumPy, setuptools or pip"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[[ -n $("$python" -c 'import sys; print(sys.platform if sys.platform == "linux" else "")') ]] ||
    skip "this is not Linux"

mkdir -p "$kept"
kept=$(realpath "$kept")
root=$kept/python$version
site=$kept/site$version

# Unpacks Debian's packages for arm64 into a folder. For apt, this is another machine, which has no
# packages, and whose state is in $kept.
fetch_python() {
    local state=$kept/apt package
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    : >"$state/status"
    cat >"$state/apt.conf" <<CONF
Dir::State "$state";
Dir::State::lists "$state/lists";
Dir::State::status "$state/status";
Dir::Cache "$state/cache";
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
Acquire::Languages "none";
Debug::NoLocking "true";
CONF
    APT_CONFIG=$state/apt.conf apt-get -qq update || return
    APT_CONFIG=$state/apt.conf apt-get -qq install --download-only --no-install-recommends -y \
        "python$version" "libpython$version-dev" libstdc++6 || return
    rm -rf "$root.new"
    for package in "$state"/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$root.new" || return
    done
    mv "$root.new" "$root"
}

fetch_numpy() {
    local wheel
    rm -rf "$kept/wheels" "$site.new"
    "$python" -m pip download --quiet --disable-pip-version-check --dest "$kept/wheels" \
        --python-version "$version" --only-binary=:all: --platform manylinux2014_aarch64 \
        --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64 \
        "numpy>=2" pytest hypothesis 2>"$kept/pip.log" || return
    for wheel in "$kept"/wheels/*.whl; do
        "$python" -m zipfile -e "$wheel" "$site.new" || return
    done
    mv "$site.new" "$site"
}

[[ -x $root/usr/bin/python$version ]] || fetch_python >"$kept/apt.log" 2>&1 ||
    skip "Debian's python$version for arm64 could not be fetched, see $kept/apt.log"
[[ -d $site/numpy ]] || fetch_numpy ||
    skip "NumPy for aarch64 could not be fetched, see $kept/pip.log"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# This program starts the emulated Python, which takes it for its own executable. So tests that
# start a second Python start this program again.
mkdir "$scratch/bin"
cat >"$scratch/bin/python" <<PROGRAM
#!/bin/sh
exec "$emulator" -L "$root" -0 "$scratch/bin/python" "$root/usr/bin/python$version" "\$@"
PROGRAM
chmod +x "$scratch/bin/python"

# The sources, and the C files that Cython has made of them, if there are any.
mkdir "$scratch/nncore"
git ls-files -z | xargs -0 cp -p --parents -t "$scratch/nncore"
if [[ -d build/ext ]]; then
    mkdir -p "$scratch/nncore/build"
    cp -rp build/ext "$scratch/nncore/build"
fi
cd "$scratch/nncore"

# setup.py runs on this machine, but with the configuration of the other Python: its compiler flags
# and the names of its modules. The headers of the other Python and its NumPy come before those of
# this machine.
mkdir "$scratch/described"
cp "$root/usr/lib/python$version/_sysconfigdata__aarch64-linux-gnu.py" "$scratch/described"
headers="-I$root/usr/include/python$version -I$root/usr/include -I$site/numpy/_core/include"
echo "--- building with $($cross --version | head -n 1)"
_PYTHON_HOST_PLATFORM=linux-aarch64 _PYTHON_SYSCONFIGDATA_NAME=_sysconfigdata__aarch64-linux-gnu \
    PYTHONPATH=$scratch/described CC="$cross $headers" LDSHARED="$cross -shared" CFLAGS= \
    "$python" setup.py -q build_ext --inplace >"$scratch/build.log" 2>&1 || {
    tail -n 40 "$scratch/build.log"
    exit 1
}

export PATH=$scratch/bin:$PATH PYTHONHOME=$root/usr PYTHONPATH=$scratch/nncore:$site
export PYTHONDONTWRITEBYTECODE=1 NNCORE_TEST_TIMEOUT=3600
unset NNCORE_AARCH64
quietly=(python -m pytest -q -p no:cacheprovider)
case ${1:-short} in
short)
    python -m nncore info | tee "$scratch/info"
    grep -Eq "^instruction set +neon$" "$scratch/info"
    "${quietly[@]}" tests/test_instruction_sets.py \
        -k "forced or best or unknown or (same_bits and neon)"
    "${quietly[@]}" tests/test_reproducible.py -k "pinned"
    ;;
full)
    "${quietly[@]}" tests
    ;;
run)
    shift
    "$@"
    ;;
*)
    echo "usage: $0 [short | full | run COMMAND...], not $1" >&2
    exit 2
    ;;
esac
