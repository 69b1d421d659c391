/* Memory for the kernels. It begins on a cache line; large memory is in large pages. */
#ifndef NN_MEMORY_H
#define NN_MEMORY_H

#if defined(__linux__)
#include <sys/mman.h>
#endif
#include <stdint.h>
#include <stdlib.h>

#include "contract.h"

/* If the caches cannot hold the weights, they cannot hold the page tables either, through which the
 * weights are read. With pages of 2 MB, one pass over 100 MB of weights took 0.9 times as long. */
enum { NN_LARGE = 4 << 20, NN_LARGE_PAGE = 2 << 20 };

/* Return `size` bytes of memory, or NULL if there is not enough. Free *block, not what is
 * returned. */
static inline void *nn_aligned_memory(size_t size, void **block)
{
    const uintptr_t unit = size >= NN_LARGE ? NN_LARGE_PAGE : NN_LINE_BYTES;
    *block = size <= SIZE_MAX - unit ? malloc(size + unit) : NULL;
    if (!*block)
        return NULL;
    char *start = (char *)*block + (unit - (uintptr_t)*block % unit) % unit;
#if defined(MADV_HUGEPAGE)
    if (size >= NN_LARGE)
        madvise(start, size / NN_LARGE_PAGE * NN_LARGE_PAGE, MADV_HUGEPAGE); /* it may fail */
#endif
    return start;
}

/* Fetch memory into the cache. It need not be there: a fetch never fails. */
static inline void nn_fetch(const void *from, size_t size)
{
    for (size_t at = 0; at < size; at += NN_LINE_BYTES)
        __builtin_prefetch((const char *)from + at);
}

#endif
