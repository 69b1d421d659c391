#!/usr/bin/env bash
# The kernels without Python: builds ext/simd and the harness in this folder with every compiler that
# is there, runs all instruction sets, and compares the hashes of the compilers with each other.
#
#     tests/c/run.sh                        gcc, clang, and aarch64-linux-gnu-gcc under qemu-aarch64
#     tests/c/run.sh clang                  one of them, or "cc -march=native" as one argument
#     CFLAGS="-O1 -fsanitize=address,undefined" tests/c/run.sh gcc      other flags behind the usual
#     KEEP=folder tests/c/run.sh            keeps the programs and their lines there
#     ONLY=scalar tests/c/run.sh            one instruction set against the scalar kernels
#
# The exit code is 1 where an instruction set differs from the scalar kernels or a compiler from
# another one. A compiler that is not installed is skipped, and a line says so.
set -euo pipefail
cd "$(dirname "$0")/../.."

# As in setup.py.
flags=(-std=c11 -ffp-contract=off -fno-fast-math -fno-math-errno -O3 -g0 -Wall -Wextra -Werror -Iext)
folder=${KEEP:-$(mktemp -d)}
[[ -n ${KEEP:-} ]] || trap 'rm -rf "$folder"' EXIT
compilers=("$@")
(($#)) || compilers=(gcc clang aarch64-linux-gnu-gcc)

# build COMPILER FOLDER: FOLDER/harness
build() {
    local -a compile=($1 "${flags[@]}" ${CFLAGS:-}) running=()
    local out=$2 isa double id
    compile_one() { "${compile[@]}" "$@" & running+=($!); }
    for double in 0 1; do
        for isa in ext/simd/vec_*.h; do
            isa=${isa#ext/simd/vec_}
            isa=${isa%.h}
            compile_one -DNN_ISA="$isa" -DNN_DOUBLE=$double -c ext/simd/instance.c -o "$out/$isa-$double.o"
            compile_one -Itests/c -DNN_ISA="$isa" -DNN_DOUBLE=$double -c tests/c/verbs.c \
                -o "$out/verbs-$isa-$double.o"
        done
        compile_one -DNN_DOUBLE=$double -c tests/c/cases.c -o "$out/cases-$double.o"
    done
    compile_one -c ext/simd/dispatch.c -o "$out/dispatch.o"
    compile_one -c tests/c/harness.c -o "$out/harness.o"
    for id in "${running[@]}"; do
        wait "$id"
    done
    "${compile[@]}" "$out"/*.o -lm -o "$out/harness"
}

# How to run what the compiler makes: as it is, or with the emulator of its target.
emulator() {
    local target machine
    target=$($1 -dumpmachine)
    machine=${target%%-*}
    if [[ $machine == "$(uname -m)" ]]; then
        echo env
    elif command -v "qemu-$machine" >/dev/null; then
        echo "qemu-$machine -L ${SYSROOT:-/usr/$target}"
    fi
}

status=0
first=
for compiler in "${compilers[@]}"; do
    if ! command -v "${compiler%% *}" >/dev/null; then
        echo "SKIPPED: $compiler is not installed"
        continue
    fi
    run=$(emulator "$compiler")
    if [[ -z $run ]]; then
        echo "SKIPPED: $compiler: no emulator for $($compiler -dumpmachine) is installed"
        continue
    fi
    out=$folder/${compiler//[ \/]/_}
    mkdir -p "$out"
    echo "--- $compiler: $($compiler --version | head -n 1)"
    build "$compiler" "$out"
    began=$SECONDS
    # shellcheck disable=SC2086
    $run "$out/harness" ${ONLY:-} >"$out/lines" || status=1
    grep '^DIFFERS' "$out/lines" || true
    grep -v '^DIFFERS' "$out/lines" >"$out/hashes"
    echo "$(wc -l <"$out/hashes") kernels, $((SECONDS - began)) s"
    if [[ -z $first ]]; then
        first=$out
    elif ! diff "$first/hashes" "$out/hashes"; then
        echo "DIFFERS: $compiler from the first compiler, see the lines above"
        status=1
    fi
done
if [[ -z $first ]]; then
    echo "SKIPPED: the kernels without Python, no compiler is installed"
elif ((status)); then
    echo "FAILED"
else
    echo "all instruction sets and compilers give the same bits"
fi
exit $status
