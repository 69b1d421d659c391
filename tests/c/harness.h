/* What the files of the harness share: the record of a test, numbers to test with, memory.
 *
 * A case is one function that runs one kernel on many shapes and reports every number it gets by
 * nn_emit. It is run once with the scalar table, whose numbers are kept, and once with the table of
 * every other instruction set, whose numbers are compared with them in turn. Numbers must therefore
 * be emitted by sample and output, never in the order of a tile, which depends on the lanes.
 * nn_expect compares with a number that the harness worked out itself.
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
    char shape[240];     /* what is being computed just now */
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
    int row; /* of a registry, where the case is about one */
} nn_case;

/* Ends with a NULL name; for float and for double. */
extern const nn_case nn_cases_f32[], nn_cases_f64[];

/* The verbs of one instruction set and type: each verbs_*.o adds its own before main begins. */
typedef struct nn_verbs {
    const char *isa, *type;
    void (*run)(nn_test *t);
    struct nn_verbs *next;
} nn_verbs;
void nn_add_verbs(nn_verbs *verbs);

/* Say what the numbers that follow belong to; printf's arguments. */
void nn_shape(nn_test *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* n floats or doubles, or integers, that the kernel gave. */
void nn_emit_f32(nn_test *t, const float *values, ptrdiff_t n);
void nn_emit_f64(nn_test *t, const double *values, ptrdiff_t n);
void nn_emit_integer(nn_test *t, int64_t value);

/* The kernel gave `got` as number i of the shape; `wanted` is right. Any NaN equals any other.
 * Returns whether they are equal. */
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

/* Zeroed memory of n bytes that begins on a cache line and ends where they end, so that a sanitizer
 * sees the first byte too many. It never fails: the harness ends. Free with free(). */
void *nn_memory(size_t n);

#endif
