/* Tests of the kernels without Python: every kernel of every instruction set is compared with the
 * scalar kernel.
 *
 * Usage: harness [INSTRUCTION SET]
 *
 * The harness runs all cases of cases.c and verbs.c with each instruction set that this build has
 * and this CPU can run, or with the named one only. It compares all numbers with those of the
 * scalar kernels, bit for bit; all NaN are equal. For each case and type it prints a line with a
 * hash of the numbers, which must be the same for every compiler and every machine. If numbers
 * differ, the exit code is 1, and a line for each such case shows the first difference.
 * tests/c/run.sh builds and runs the harness with several compilers and compares their lines.
 */
#define _POSIX_C_SOURCE 200112L /* for posix_memalign */
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/fp_environment.h"
#include "simd/mixing.h"

static nn_verbs *all_verbs;

void nn_add_verbs(nn_verbs *verbs)
{
    verbs->next = all_verbs;
    all_verbs = verbs;
}

void *nn_memory(size_t n)
{
    void *memory;
    if (posix_memalign(&memory, NN_LINE_BYTES, n ? n : 1)) {
        fprintf(stderr, "harness: no memory\n");
        exit(2);
    }
    return memset(memory, 0, n);
}

uint64_t nn_next(nn_random *random)
{
    random->counter += UINT64_C(0x9e3779b97f4a7c15);
    return nn_mix(random->counter);
}

int nn_below(nn_random *random, int limit) { return (int)(nn_next(random) % (unsigned)limit); }

double nn_between(nn_random *random, double low, double high)
{
    return low + (high - low) * ((double)(nn_next(random) >> 11) * 0x1p-53);
}

void nn_shape(nn_test *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(t->shape, sizeof t->shape, format, arguments);
    va_end(arguments);
}

/* Count a difference, and print it if it is the first of its case. */
static void differs(nn_test *t, const char *of, long long i, uint64_t got, uint64_t wanted,
                    const char *whose)
{
    if (t->failed++ == 0)
        printf("DIFFERS %s %s %s: %s: %s[%lld]: got 0x%llx, %s 0x%llx\n", t->isa, t->type, t->name,
               t->shape, of, i, (unsigned long long)got, whose, (unsigned long long)wanted);
}

static void emit(nn_test *t, uint64_t bits, long long i)
{
    t->hash = nn_mix(t->hash ^ bits) + UINT64_C(0x9e3779b97f4a7c15);
    if (t->keeps) {
        if (t->at == t->room) {
            t->room = t->room ? 2 * t->room : 1 << 16;
            t->wanted = realloc(t->wanted, t->room * sizeof *t->wanted);
            if (!t->wanted)
                exit(2);
        }
        t->wanted[t->at] = bits;
    } else if (t->at >= t->wanted_count)
        differs(t, "numbers", i, bits, 0, "the scalar kernels gave fewer;");
    else if (bits != t->wanted[t->at])
        differs(t, "numbers", i, bits, t->wanted[t->at], "scalar");
    t->at++;
}

static uint64_t bits_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? 0x7fc00000 : bits;
}

static uint64_t bits_f64(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? UINT64_C(0x7ff8000000000000) : bits;
}

void nn_emit_f32(nn_test *t, const float *values, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        emit(t, bits_f32(values[i]), i);
}

void nn_emit_f64(nn_test *t, const double *values, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        emit(t, bits_f64(values[i]), i);
}

void nn_emit_integer(nn_test *t, int64_t value) { emit(t, (uint64_t)value, 0); }

static int expect(nn_test *t, const char *of, ptrdiff_t i, uint64_t got, uint64_t wanted)
{
    if (got != wanted)
        differs(t, of, i, got, wanted, "expected");
    return got == wanted;
}

int nn_expect_f32(nn_test *t, const char *of, ptrdiff_t i, float got, float wanted)
{
    return expect(t, of, i, bits_f32(got), bits_f32(wanted));
}

int nn_expect_f64(nn_test *t, const char *of, ptrdiff_t i, double got, double wanted)
{
    return expect(t, of, i, bits_f64(got), bits_f64(wanted));
}

int nn_expect_integer(nn_test *t, const char *of, ptrdiff_t i, int64_t got, int64_t wanted)
{
    return expect(t, of, i, (uint64_t)got, (uint64_t)wanted);
}

static const nn_verbs *verbs_of(const char *isa, const char *type)
{
    const nn_verbs *verbs = all_verbs;
    while (verbs && (strcmp(verbs->isa, isa) || strcmp(verbs->type, type)))
        verbs = verbs->next;
    return verbs;
}

/* Run one case with one instruction set. `test` is NULL for the case of the verbs. */
static void run(nn_test *t, const nn_case *test, const nn_isa *isa)
{
    const int is_float = !strcmp(t->type, "f32");
    t->isa = isa->name;
    t->at = 0;
    t->hash = 0;
    nn_shape(t, "%s", "");
    if (test) {
        test->run(t, is_float ? isa->f32 : isa->f64, test->row);
    } else {
        const nn_verbs *verbs = verbs_of(isa->name, t->type);
        if (verbs)
            verbs->run(t);
        else if (t->failed++ == 0)
            printf("DIFFERS %s %s verbs: tests/c/verbs.c was not compiled for it\n", isa->name,
                   t->type);
    }
    if (!t->keeps && t->at < t->wanted_count && !t->failed)
        differs(t, "numbers", (long long)t->at, t->at, t->wanted_count,
                "numbers in all; the scalar kernels gave");
    else if (t->keeps)
        t->wanted_count = t->at;
}

/* Run one case with the scalar kernels, then with those of the instruction set `only`, or of all if
 * `only` is NULL. Print the line of the case, and return whether all agree. */
static int run_all(const char *type, const nn_case *test, const char *only)
{
    const nn_isa *scalar = nn_isas;
    while (strcmp(scalar->name, "scalar"))
        scalar++;
    nn_test t = {.type = type, .name = test ? test->name : "verbs", .keeps = 1};
    run(&t, test, scalar);
    const uint64_t hash = t.hash;
    int failed = t.failed;
    t.keeps = 0;
    for (const nn_isa *isa = nn_isas; isa->name; isa++)
        if (isa != scalar && nn_supported(isa->name) && (!only || !strcmp(only, isa->name))) {
            t.failed = 0;
            run(&t, test, isa);
            failed += t.failed;
        }
    printf("%s %-36s %8zu numbers %016llx\n", type, t.name, t.wanted_count,
           (unsigned long long)hash);
    fflush(stdout);
    free(t.wanted);
    return !failed;
}

/* Emulated tiles of AMX need no more than the rest of these kernels, the next set. */
static int can_run(const nn_int8_isa *isa)
{
#ifdef NN_EMULATED_TILES
    if (!strcmp(isa->name, "amx"))
        isa++;
#endif
    return isa->supported() && isa->may_use();
}

/* Run the case of the kernels of eight bits, as run_all does. */
static int run_int8(const char *only)
{
    const nn_int8_isa *scalar = nn_int8_isas;
    while (strcmp(scalar->name, "scalar"))
        scalar++;
    nn_test t = {.type = "int8", .name = "sums and codes", .keeps = 1, .isa = "scalar"};
    nn_int8_case(&t, scalar->kernels);
    const uint64_t hash = t.hash;
    int failed = t.failed;
    t.keeps = 0;
    t.wanted_count = t.at;
    for (const nn_int8_isa *isa = nn_int8_isas; isa->name; isa++)
        if (isa != scalar && (!only || !strcmp(only, isa->with))) {
            if (!can_run(isa)) {
                fprintf(stderr, "SKIPPED: this CPU lacks %s, or may not use it\n", isa->name);
                continue;
            }
            t.isa = isa->name;
            t.at = t.failed = 0;
            t.hash = 0;
            nn_int8_case(&t, isa->kernels);
            if (t.at != t.wanted_count)
                differs(&t, "numbers", 0, t.at, t.wanted_count, "scalar");
            failed += t.failed;
        }
    printf("%s %-35s %8zu numbers %016llx\n", t.type, t.name, t.wanted_count,
           (unsigned long long)hash);
    free(t.wanted);
    return !failed;
}

int main(int count, char **arguments)
{
    const char *only = count > 1 ? arguments[1] : NULL;
    int known = 0, good = 1;
    nn_enter_fp();
    fprintf(stderr, "instruction sets:");
    for (const nn_isa *isa = nn_isas; isa->name; isa++) {
        const int wanted = !only || !strcmp(only, isa->name);
        known |= wanted && nn_supported(isa->name);
        if (wanted)
            fprintf(stderr, " %s%s", isa->name,
                    nn_supported(isa->name) ? "" : " (SKIPPED: this CPU lacks it)");
    }
    fprintf(stderr, "\n");
    if (count > 2 || !known) {
        fprintf(stderr, "usage: harness [INSTRUCTION SET], one that this CPU has\n");
        return 2;
    }
    for (const nn_case *test = nn_cases_f32; test->name; test++)
        good &= run_all("f32", test, only);
    good &= run_all("f32", NULL, only);
    for (const nn_case *test = nn_cases_f64; test->name; test++)
        good &= run_all("f64", test, only);
    good &= run_all("f64", NULL, only);
    good &= run_int8(only);
    good &= nn_choice_good();
    return !good;
}
