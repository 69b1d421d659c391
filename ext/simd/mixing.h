/* The finaliser of SplitMix64 (Steele, Lea and Flood 2014): one number in, 64 bits out. */
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
