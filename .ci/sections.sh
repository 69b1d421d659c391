#!/usr/bin/env bash
# The sections of .ci/run, one function each; `bash .ci/sections.sh FUNCTION` runs one of them.
# .ci/run sets three variables: python; mnist, a folder that may be missing; scratch, a folder for
# this run. If several sections need something (an environment, the wheel), the first one makes it.
set -euo pipefail
shopt -s inherit_errexit
: "${python:?}" "${mnist:?}" "${scratch:?}"

# ---- helpers

skip() { # skip REASON: ends the section, visibly
    echo "SKIPPED: $*"
    echo "$*" >"$scratch/skipped"
    exit 77
}

enter() { # enter NAME: activates an environment of this run
    # shellcheck disable=SC1091
    source "$scratch/$1/bin/activate"
}

environment() { # environment NAME [PYTHON]: makes an environment and enters it
    "${2:-$python}" -m venv "$scratch/$1"
    enter "$1"
}

# Enters the environment of the README's first command: with nncore, built in place, and the
# packages that the tests need.
development() {
    if [[ -x $scratch/readme/bin/pytest ]]; then
        enter readme
    else
        environment readme
        pip install --quiet -e ".[test]"
    fi
}

# Enters an environment without nncore, but with the packages that setup.py and the tests need.
workshop() {
    if [[ -x $scratch/workshop/bin/pytest ]]; then
        enter workshop
        return
    fi
    environment workshop
    python - >"$scratch/requirements.txt" <<'PYTHON'
import tomllib
settings = tomllib.load(open("pyproject.toml", "rb"))
project = settings["project"]
print(*settings["build-system"]["requires"], *project["dependencies"], sep="\n")
print(*project["optional-dependencies"]["test"], sep="\n")
PYTHON
    pip install --quiet -r "$scratch/requirements.txt"
}

# build_copy NAME: copies the sources to a folder, builds them there, and changes to it. There,
# `python -m pytest` imports nncore from this folder.
build_copy() {
    mkdir "$scratch/$1"
    tar c --exclude=./.git --exclude=./build --exclude=./dist --exclude='*.so' \
        --exclude=__pycache__ --exclude='./*.egg-info' --exclude='./.*_cache' . |
        tar x -C "$scratch/$1"
    cd "$scratch/$1"
    python setup.py -q build_ext --inplace >build.log 2>&1 || {
        tail -n 60 build.log
        return 1
    }
}

# obtain COMMAND PACKAGE...: whether the command is installed. If it is not, installs the Debian
# packages, but only in CI and as root.
obtain() {
    command -v "$1" >/dev/null && return
    if [[ ${CI:-} && $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        timeout 120 apt-get update >"$scratch/apt.log" 2>&1 || true
        timeout 300 apt-get install -y --no-install-recommends "${@:2}" \
            >>"$scratch/apt.log" 2>&1 || true
    fi
    command -v "$1" >/dev/null
}

need() { # need COMMAND PACKAGE...: the same, but skips the section if there is no such command
    obtain "$@" || skip "there is no $1 (Debian: ${*:2})"
}

as_in_readme() { # as_in_readme COMMAND: runs it if README.md has it on a line of its own
    if ! grep -Fqx -- "$1" README.md; then
        echo "README.md has no line: $1" >&2
        return 1
    fi
    echo "+ $1"
    bash -c "$1"
}

the_wheel() { # prints the wheel's path; builds it if no section has done so
    [[ -e $scratch/dist ]] || (distributions) >&2
    local wheel=("$scratch"/dist/*.whl)
    echo "${wheel[0]}"
}

# Changes to a folder with the tests, but without nncore/. There the installed package is imported.
away_from_the_checkout() {
    mkdir -p "$scratch/elsewhere"
    cp -r tests README*.md examples docs tools pyproject.toml "$scratch/elsewhere"
    cd "$scratch/elsewhere"
}

# ---- the sections

machine() {
    "$python" --version
    "${CC:-cc}" --version | head -n 1
    uname -srm
    echo "$(nproc) CPUs, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)"
    if [[ -d $mnist ]]; then
        echo "MNIST: $mnist"
    else
        echo "MNIST: no folder $mnist, its checks are SKIPPED"
    fi
}

readme_tests() {
    environment readme
    as_in_readme 'pip install -e ".[test]" && pytest'
}

readme_main_job() {
    environment job
    # As for a new user, there is no data folder and the cache is empty. Only pip keeps its cache.
    PIP_CACHE_DIR=$(pip cache dir 2>/dev/null || true)
    export PIP_CACHE_DIR XDG_CACHE_HOME=$scratch/cache
    unset NNCORE_DATA_HOME
    as_in_readme 'pip install -e ".[demo]" && nncore mnist'
    # What a reader tries next, in the same folder or in another one.
    python -c 'import nncore; print(nncore.__file__)'
    (cd "$scratch" && python -c 'import nncore; print(nncore.__file__)')
}

strict_build() {
    development
    NNCORE_WERROR=1 pip install --quiet -e ".[lint]"
}

linters() {
    development
    [[ -x $scratch/readme/bin/ruff ]] || pip install --quiet -e ".[lint]"
    local outcome=0
    ruff check . || outcome=1
    ruff format --check . || outcome=1
    cython-lint ext nncore || outcome=1
    mypy || outcome=1
    return $outcome
}

# The section with README's tests has used the best instruction set already.
other_instruction_sets() {
    development
    local isa outcome=0
    local others='import nncore; print(*nncore.info()["available_instruction_sets"][1:])'
    for isa in $(python -c "$others"); do
        echo "--- NNCORE_ISA=$isa"
        NNCORE_ISA=$isa pytest -q || outcome=1
    done
    return $outcome
}

distributions() {
    environment build
    pip install --quiet build
    # The wheel is built from the source distribution, which shows that this is complete.
    NNCORE_WERROR=1 python -m build --outdir "$scratch/dist" . >"$scratch/build.log" 2>&1 || {
        tail -n 60 "$scratch/build.log"
        return 1
    }
    python .ci/check_distributions.py "$scratch"/dist/*.whl "$scratch"/dist/*.tar.gz
}

# Runs a command with only the environment's programs on PATH, so that it cannot find a compiler.
without_compiler() {
    CC=false CXX=false PATH=$VIRTUAL_ENV/bin "$@"
}

wheel_main_job() {
    local wheel
    wheel=$(the_wheel)
    environment wheel
    without_compiler pip install --quiet --only-binary :all: "$wheel"
    cd "$scratch"
    local expected='^(pip|setuptools|wheel|nncore-dense|numpy)([ =]|$)'
    if [[ $(pip list --format=freeze | grep -vcE "$expected") != 0 ]]; then
        echo "more packages than NumPy were installed:"
        pip list
        return 1
    fi
    python -c 'import nncore; print(nncore.__file__)'
    (
        unset NNCORE_DATA_HOME
        XDG_CACHE_HOME=$scratch/cache without_compiler nncore mnist
    )
    without_compiler nncore info
    if [[ -d $mnist ]]; then
        without_compiler nncore mnist --data "$mnist" --weights "$mnist/sample_weight.pkl" |
            tee classic.txt
        grep -F "9352 of 10000" classic.txt >/dev/null
    else
        echo "SKIPPED: MNIST with the classic weights (no $mnist)"
    fi
}

wheel_tests() {
    local wheel numpy
    wheel=$(the_wheel)
    environment oldest
    numpy=$(sed -n 's/^dependencies = \["numpy>=\([0-9.]*\)"\]$/numpy==\1/p' pyproject.toml)
    : "${numpy:?pyproject.toml has no line with the oldest NumPy}"
    if python -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then
        echo "SKIPPED: $numpy has no wheel for this Python, so the tests run with the newest NumPy"
        numpy=numpy
    fi
    without_compiler pip install --quiet --only-binary :all: "$wheel[test]" "$numpy"
    away_from_the_checkout
    python -c 'import numpy; print("NumPy", numpy.__version__)'
    without_compiler pytest -q --pyargs tests README*.md examples docs nncore
}

# A user's Cython module must compile with the installed wheel alone, without this folder's headers.
wheel_from_cython() {
    local wheel
    wheel=$(the_wheel)
    environment cython
    pip install --quiet --only-binary :all: "$wheel[test]"
    away_from_the_checkout
    pytest -q tests/test_cython_api.py | tee cython.txt
    if grep -E '[0-9]+ skipped' cython.txt >/dev/null; then
        echo "tests were skipped: is there no compiler?"
        return 1
    fi
}

# The seed follows from the commit: every commit is attacked in another way, and always in the same.
commit_seed() {
    local commit
    commit=$(git rev-parse --short=7 HEAD 2>/dev/null) || commit=1
    echo $((16#${commit:0:7}))
}

attack() {
    development
    python tools/attack --seconds 60 --seed "$(commit_seed)"
}

growth() {
    development
    NNCORE_TEST_GROWTH=1 pytest -q -p no:cacheprovider tests/test_growth.py
}

c_harness() {
    [[ -e tests/c/run.sh ]] || skip "there is no tests/c/run.sh"
    # The script says which compilers are missing.
    obtain clang clang || true
    obtain aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross || true
    obtain qemu-aarch64 qemu-user || true
    bash tests/c/run.sh
}

# The tests that fail if a compiler changes the arithmetic.
ARITHMETIC=(
    tests/test_same_bits.py tests/test_instruction_sets.py tests/test_reproducible.py
    tests/test_activations.py tests/test_gradients.py tests/test_fp_environment.py
    tests/test_layers.py
)
# Options for a hash over the results of random trials. It is the same for all builds and machines.
TRIALS=(--trials 200 --seed 1 --kinds network function affine fit gradients --hash-only)

clang_build() {
    need clang clang
    development
    local from_gcc from_clang
    from_gcc=$(python tools/attack "${TRIALS[@]}")
    workshop
    CC=clang NNCORE_WERROR=1 build_copy clang
    python -m pytest -q "${ARITHMETIC[@]}"
    from_clang=$(python tools/attack "${TRIALS[@]}")
    echo "the hash of 200 random trials: ${CC:-cc} $from_gcc, clang $from_clang"
    [[ $from_gcc == "$from_clang" ]]
}

sanitizers() {
    local cc=${CC:-gcc} libraries
    command -v "$cc" >/dev/null || skip "there is no $cc"
    libraries="$("$cc" -print-file-name=libasan.so) $("$cc" -print-file-name=libubsan.so)"
    [[ $libraries == /*' '/* ]] || skip "$cc has no sanitizers"
    workshop
    NNCORE_SANITIZE=1 CC=$cc build_copy sanitizers
    # No search for leaks, because CPython itself has some.
    export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 LD_PRELOAD=$libraries
    # The sanitizers need more addresses than test_bombs_stay_small allows.
    python -m pytest -q --deselect tests/test_pickles_hostile.py::test_bombs_stay_small \
        tests/test_same_bits.py tests/test_bfloat16.py tests/test_validation.py \
        tests/test_instruction_sets.py tests/test_fit_failures.py tests/test_gradients.py \
        tests/test_npz_hostile.py tests/test_pickles_hostile.py tests/test_idx.py tests/test_fork.py
    python tools/attack --seconds 30 --seed "$(commit_seed)"
}

other_python() { # other_python VERSION: a wheel for this Python, if it is installed, and the tests
    local candidate found=""
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            found=$candidate
            break
        fi
    done
    [[ $found ]] || skip "there is no Python $1"
    environment "python$1" "$found"
    python --version
    pip wheel --quiet --no-deps --wheel-dir "$scratch/dist$1" .
    python .ci/check_distributions.py "$scratch/dist$1"/*.whl
    pip install --quiet "$(echo "$scratch/dist$1"/*.whl)[test]"
    away_from_the_checkout
    pytest -q --pyargs tests README*.md examples docs nncore
}

python_3_12() { other_python 3.12; }
python_3_13() { other_python 3.13; }

# Builds the site as the README says, and looks at what came out of it.
documentation() {
    environment docs
    rm -rf build/site
    as_in_readme \
        'pip install -e ".[docs]" && sphinx-build -W --keep-going -c docs . build/site'
    python docs/check_site.py build/site
    pip install --quiet -e ".[test,browser]"
    obtain chromium chromium fonts-nanum || true
    pytest -q -ra tests/docs tests/browser/test_site.py | tee "$scratch/docs.txt"
    if grep -E '^SKIPPED.*(not installed|could not import|pip install)' "$scratch/docs.txt"; then
        echo "these tests were skipped for want of a package: the extras lack it"
        return 1
    fi
    grep -F 'there is no chromium' "$scratch/docs.txt" >/dev/null &&
        skip "the site is checked; to open it in a browser there is no chromium (Debian: chromium)"
    return 0
}

pictures() {
    local wheel
    wheel=$(the_wheel)
    environment pictures
    timeout 600 pip install --quiet --prefer-binary "$wheel[test,plot,browser]" ||
        skip "the packages of the extras 'plot' and 'browser' could not be downloaded"
    obtain chromium chromium fonts-nanum || true
    away_from_the_checkout
    pytest -q -ra tests/plot tests/browser | tee "$scratch/pictures.txt"
    if grep -iE '^SKIPPED.*(matplotlib|playwright)' "$scratch/pictures.txt"; then
        echo "these tests were skipped for want of a package: the extras lack it"
        return 1
    fi
    grep -F 'there is no chromium' "$scratch/pictures.txt" >/dev/null &&
        skip "the plots are tested; for the page there is no chromium (Debian: chromium)"
    return 0
}

# The tests of other libraries' networks and engines, with all that the extra `interop` names.
interop() {
    # For other versions of CPython, the index has only builds with gigabytes of libraries for GPUs.
    [[ $("$python" -c 'import sys; print(*sys.version_info[:2])') == "3 11" ]] ||
        skip "PyTorch is installed for CPython 3.11 only, this is $("$python" --version)"
    local wheel files
    wheel=$(the_wheel)
    environment interop
    timeout 900 pip install --quiet --prefer-binary "$wheel[test,interop]" ||
        skip "the packages of the extra 'interop' could not be downloaded"
    # Ray is not there for every platform, and Spark, which needs Java, has 400 MB.
    timeout 300 pip install --quiet --only-binary :all: ray ||
        echo "Ray could not be installed: its tests are skipped"
    away_from_the_checkout
    # Beside those in tests/interop, some tests elsewhere need one of these packages.
    local packages='torch|keras|h5py|onnx|skl2onnx|sklearn|scipy|safetensors|PIL|pandas'
    mapfile -t files < <(grep -lE "importorskip\(\s*\"($packages)" -r tests --include='test_*.py' |
        grep -v '^tests/interop/' || true)
    # One thread for the other libraries: they are many, and so are the tests' processes.
    OMP_NUM_THREADS=1 KERAS_BACKEND=torch pytest -q -ra --durations=10 \
        tests/interop "${files[@]}" | tee "$scratch/interop.txt"
    # Ray and Spark are no part of the extra, because they are large.
    if grep -iE '^SKIPPED.*(not installed|could not import)' "$scratch/interop.txt" |
        grep -vE 'Ray is|Spark is'; then
        echo "these tests were skipped for want of a package: the extra 'interop' lacks it"
        return 1
    fi
}

# Installs the small packages of the extra `bench` only. Benchmarks that need others are skipped.
benchmarks() {
    development
    pip install --quiet "pytest-benchmark>=4" "psutil>=5.9" packaging threadpoolctl \
        "matplotlib>=3.8" onnx onnxruntime scikit-learn starlette uvicorn
    pytest -q -p no:cacheprovider benchmarks --benchmark-disable -r fE
}

aarch64() {
    local reason
    need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    need qemu-aarch64 qemu-user
    workshop
    PYTHON=$(command -v python) bash tools/aarch64.sh | tee "$scratch/aarch64.log"
    reason=$(sed -n 's/^SKIPPED: //p' "$scratch/aarch64.log")
    [[ -z $reason ]] || skip "$reason"
}

"$1"
