/* All kernels for one instruction set and one type of arithmetic.
 *
 * This file is compiled once for each pair of these two macros:
 *     -DNN_ISA=avx2     the instruction set; vec_avx2.h holds its verbs and its tuning
 *     -DNN_DOUBLE=0     float arithmetic; 1 means double Each time it gives one table of kernels,
 * here nn_f32__avx2, which dispatch.c lists. Every build compiles all instruction sets: if the
 * target has no such instructions, vec_*.h is empty, and so is the object file. This also works if
 * one run of the compiler makes code for two targets.
 *
 * setup.py does this for every vec_*.h in this folder. By hand, from the root of the sources:
 *
 *     for isa in scalar avx2 avx512; do
 *         for double in 0 1; do
 *             cc -std=c11 -O3 -ffp-contract=off -fno-fast-math -fno-math-errno \
 *                -DNN_ISA=$isa -DNN_DOUBLE=$double -c ext/simd/instance.c -o $isa-$double.o
 *         done
 *     done
 *     cc -std=c11 -O3 -c ext/simd/dispatch.c -o dispatch.o
 */
#if !defined(NN_ISA) || !defined(NN_DOUBLE)
#error "compile with -DNN_ISA=NAME and -DNN_DOUBLE=0 or 1, as the first lines of this file say"
#endif

#define NN_TEXT_OF(name) #name
#define NN_TEXT(name) NN_TEXT_OF(name)
#define NN_JOINED(first, second) first##second
#define NN_JOIN(first, second) NN_JOINED(first, second)
#define NN_VERBS NN_TEXT(NN_JOIN(vec_, NN_ISA).h)

#include "real.h"
#include NN_VERBS
#ifdef NN_TARGET
#include "kernels.tpl.h"
#endif
