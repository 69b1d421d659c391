#!/usr/bin/env bash
# Tests the kernels without Python. Builds ext/simd and the harness in this folder with each
# compiler that is installed, runs all instruction sets, and compares the hashes of the compilers.
#
#     tests/c/run.sh                        gcc, clang, and aarch64-linux-gnu-gcc under qemu-aarch64
#     tests/c/run.sh clang                  only this one; or "cc -march=native" as one argument
#     CFLAGS="-O1 -fsanitize=address,undefined" tests/c/run.sh gcc      more flags after the usual
#     KEEP=folder tests/c/run.sh            keep the programs and their output in this folder
#     TILES=real KEEP=folder CFLAGS=-static tests/c/run.sh gcc       for another machine, with AMX
#     ONLY=avx2 tests/c/run.sh              compare only this set with the scalar kernels
#
# The exit code is 1 if an instruction set differs from the scalar kernels, or a compiler from
# another one. If a compiler is not installed, it is skipped, and a line says so.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The flags of setup.py, and warnings as errors.
flags=(-std=c11 -ffp-contract=off -fno-fast-math -fno-math-errno -O3 -g0 -Wall -Wextra -Werror
    -Iext)
# Without AMX, its tiles are emulated. TILES=real builds for another machine, one that has AMX.
tiles=(-DNN_EMULATED_TILES)
if [[ ${TILES:-} == real ]] || grep -qs amx_int8 /proc/cpuinfo; then
    tiles=()
fi
folder=${KEEP:-$(mktemp -d)}
[[ -n ${KEEP:-} ]] || trap 'rm -rf "$folder"' EXIT
compilers=("$@")
(($#)) || compilers=(gcc clang aarch64-linux-gnu-gcc)

# build COMPILER FOLDER: makes FOLDER/harness
build() {
    local -a compile=($1 "${flags[@]}" ${CFLAGS:-}) running=()
    local out=$2 isa double id
    compile_one() { "${compile[@]}" "$@" & running+=($!); }
    for double in 0 1; do
        for isa in ext/simd/vec_*.h; do
            isa=${isa#ext/simd/vec_}
            isa=${isa%.h}
            compile_one -DNN_ISA="$isa" -DNN_DOUBLE=$double -c ext/simd/instance.c \
                -o "$out/$isa-$double.o"
            compile_one -Itests/c -DNN_ISA="$isa" -DNN_DOUBLE=$double -c tests/c/verbs.c \
                -o "$out/verbs-$isa-$double.o"
        done
        compile_one -DNN_DOUBLE=$double -c tests/c/cases.c -o "$out/cases-$double.o"
    done
    for isa in ext/simd/dot_*.h; do
        isa=${isa#ext/simd/dot_}
        isa=${isa%.h}
        compile_one -Itests/c "${tiles[@]}" -DNN_ISA="$isa" -c ext/simd/int8.c \
            -o "$out/int8-$isa.o"
    done
    compile_one -c tests/c/int8.c -o "$out/int8-cases.o"
    compile_one -c tests/c/choice.c -o "$out/choice.o"
    compile_one -c ext/simd/dispatch.c -o "$out/dispatch.o"
    compile_one "${tiles[@]}" -c tests/c/harness.c -o "$out/harness.o"
    for id in "${running[@]}"; do
        wait "$id"
    done
    "${compile[@]}" "$out"/*.o -lm -o "$out/harness"
}

# emulator COMPILER: prints the command that runs the compiler's programs, on this machine or in an
# emulator of the compiler's target. Prints nothing if there is no such emulator.
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
