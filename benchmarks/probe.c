/* Two limits of the machine: fused multiply-adds a second, and bytes read a second.
 * Compiled by limits.py when a run needs it; widths follow what -march=native offers. */
#include <stddef.h>

#if defined(__AVX512F__)
enum { BYTES = 64 };
#elif defined(__AVX__)
enum { BYTES = 32 };
#else
enum { BYTES = 16 };
#endif

typedef float vec __attribute__((vector_size(BYTES)));
/* The same, for addresses that are aligned to one float only. */
typedef float loose __attribute__((vector_size(BYTES), aligned(4), may_alias));
enum { LANES = BYTES / sizeof(float) };

int probe_lanes(void) { return LANES; }

/* Twelve chains, each waiting for itself only: more than the two units' four or five cycles of
 * latency need, and few enough for sixteen registers. Values stay near 1. */
#define CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

/* Runs `rounds` times twelve vector FMAs; the result only keeps the compiler honest. */
float probe_fma(size_t rounds) {
    vec factor = {0}, term = {0};
    factor += 0.5f;
    term += 0.5f;
#define START(i) vec a##i = term * (float)(i + 1);
#define STEP(i) a##i = a##i * factor + term;
#define ADD(i) sum += a##i;
    CHAINS(START)
    for (size_t r = 0; r < rounds; r++) {
        CHAINS(STEP)
    }
    vec sum = {0};
    CHAINS(ADD)
    return sum[0];
}

/* Reads `n` floats, `times` times over; n is a multiple of 8 * LANES. */
float probe_read(const float *x, size_t n, size_t times) {
    vec sum[8] = {{0}};
    for (size_t t = 0; t < times; t++) {
        for (size_t i = 0; i < n; i += 8 * LANES)
            for (int u = 0; u < 8; u++) sum[u] += *(const loose *)(x + i + u * LANES);
        /* Without this the loop over t could be folded into one pass. */
        __asm__ volatile("" ::: "memory");
    }
    vec total = {0};
    for (int u = 0; u < 8; u++) total += sum[u];
    return total[0];
}
