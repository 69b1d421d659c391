/* The last part of SplitMix64 (Steele, Lea and Flood 2014), its finaliser: it maps each 64-bit
 * number to another one that looks random. */
#ifndef NN_MIXING_H
#define NN_MIXING_H

#include <stdint.h>

static inline uint64_t nn_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
