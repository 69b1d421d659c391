/* Memory for the kernels: beginning on a cache line, and in large pages where it is large. */
#ifndef NN_MEMORY_H
#define NN_MEMORY_H

#if defined(__linux__)
#include <sys/mman.h>
#endif
#include <stdint.h>
#include <stdlib.h>

#include "contract.h"

/* Weights that the caches cannot hold are read through page tables that they cannot hold either:
 * with pages of 2 MB a pass over 100 MB took 0.9 times as long. */
enum { NN_LARGE = 4 << 20, NN_LARGE_PAGE = 2 << 20 };

/* `size` bytes; *block is what to free. NULL if there are none. */
static inline void *nn_aligned_memory(size_t size, void **block)
{
    const uintptr_t unit = size >= NN_LARGE ? NN_LARGE_PAGE : NN_LINE_BYTES;
    *block = size <= SIZE_MAX - unit ? malloc(size + unit) : NULL;
    if (!*block)
        return NULL;
    char *start = (char *)*block + (unit - (uintptr_t)*block % unit) % unit;
#if defined(MADV_HUGEPAGE)
    if (size >= NN_LARGE)
        madvise(start, size / NN_LARGE_PAGE * NN_LARGE_PAGE, MADV_HUGEPAGE); /* it may refuse */
#endif
    return start;
}

#endif
