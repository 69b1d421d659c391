/* What the files of the harness share: the state of a test, random numbers, memory.
 *
 * A case is a function that runs one kernel on many shapes and passes all numbers that the kernel
 * gives to an nn_emit function. The case is run with the scalar kernels first, whose numbers are
 * kept, then with the kernels of each other instruction set, whose numbers are compared with these.
 * So the order of the numbers must not depend on the lanes: it must be by sample and output, not
 * the order in a tile. The nn_expect functions compare with a number that the harness has computed
 * itself.
 */
#ifndef NN_HARNESS_H
#define NN_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include "contract.h"

typedef struct nn_test {
    const char *isa;     /* the instruction set at work */
    const char *type;    /* "f32" or "f64" */
    const char *name;    /* of the case */
    char shape[240];     /* what is computed at present */
    uint64_t *wanted;    /* the bits that the scalar kernels gave */
    size_t at, room;
    size_t wanted_count;
    int keeps;           /* this is the run of the scalar kernels: keep its bits */
    int failed;          /* differences so far; the first one has been printed */
    uint64_t hash;
} nn_test;

typedef struct nn_case {
    const char *name;
    void (*run)(nn_test *t, const nn_kernels *kernels, int row);
    int row; /* the row of a registry that the case is about, if it is about one */
} nn_case;

/* All cases, for float and for double. The last entry has a NULL name. */
extern const nn_case nn_cases_f32[], nn_cases_f64[];

/* The test of the verbs of one instruction set and type. Each verbs-*.o adds its own before
 * main. */
typedef struct nn_verbs {
    const char *isa, *type;
    void (*run)(nn_test *t);
    struct nn_verbs *next;
} nn_verbs;
void nn_add_verbs(nn_verbs *verbs);

/* The case of the kernels of eight bits. */
void nn_int8_case(nn_test *t, const nn_int8_kernels *kernels);

/* Describe the numbers that follow. The arguments are those of printf. */
void nn_shape(nn_test *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Report n floats or doubles, or one integer, that the kernel gave. */
void nn_emit_f32(nn_test *t, const float *values, ptrdiff_t n);
void nn_emit_f64(nn_test *t, const double *values, ptrdiff_t n);
void nn_emit_integer(nn_test *t, int64_t value);

/* Compare `got`, number i of the array `of` that the kernel gave, with `wanted`, which is right.
 * All NaN are equal. Returns whether the two are equal. */
int nn_expect_f32(nn_test *t, const char *of, ptrdiff_t i, float got, float wanted);
int nn_expect_f64(nn_test *t, const char *of, ptrdiff_t i, double got, double wanted);
int nn_expect_integer(nn_test *t, const char *of, ptrdiff_t i, int64_t got, int64_t wanted);

/* Random numbers: a counter and the finaliser of SplitMix64. */
typedef struct nn_random {
    uint64_t counter;
} nn_random;
uint64_t nn_next(nn_random *random);
int nn_below(nn_random *random, int limit); /* 0 .. limit - 1 */
double nn_between(nn_random *random, double low, double high);

/* Return n bytes of memory, filled with zeros. It begins on a cache line and has no room after the
 * n bytes, so that a sanitizer sees an access behind them. If there is not enough memory, the
 * harness ends. Free it with free(). */
void *nn_memory(size_t n);

/* Whether choice.h chooses well; prints what it does not. */
int nn_choice_good(void);

#endif
