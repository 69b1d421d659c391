/* The tiles of AMX in plain C, in place of the instructions that dot_amx.h names: for CPUs without
 * AMX. Sizes that the instructions would not take end the harness. */
#include <stdlib.h>
#include <string.h>

static _Thread_local struct {
    uint8_t rows;
    uint16_t bytes;
    uint8_t data[16][64];
} emulated[8];
static _Thread_local int is_configured;

static inline void emulated_check(int good)
{
    if (!good)
        abort();
}

static inline void tile_configure(const void *settings)
{
    const uint8_t *of = settings;
    emulated_check(of[0] == 1 && of[1] == 0);
    memset(emulated, 0, sizeof emulated);
    for (int tile = 0; tile < 8; tile++) {
        emulated[tile].rows = of[48 + tile];
        memcpy(&emulated[tile].bytes, of + 16 + 2 * tile, 2);
        emulated_check(emulated[tile].rows <= 16 && emulated[tile].bytes <= 64
                       && emulated[tile].bytes % 4 == 0);
    }
    is_configured = 1;
}

static inline void tile_release(void) { is_configured = 0; }

static inline void tile_zero(int tile)
{
    emulated_check(is_configured && emulated[tile].rows > 0);
    memset(emulated[tile].data, 0, sizeof emulated[tile].data);
}

static inline void tile_load(int tile, const void *from, ptrdiff_t apart)
{
    emulated_check(is_configured && emulated[tile].rows > 0);
    for (int r = 0; r < emulated[tile].rows; r++)
        memcpy(emulated[tile].data[r], (const char *)from + r * apart, emulated[tile].bytes);
}

static inline void tile_store(int tile, void *to, ptrdiff_t apart)
{
    emulated_check(is_configured && emulated[tile].rows > 0);
    for (int r = 0; r < emulated[tile].rows; r++)
        memcpy((char *)to + r * apart, emulated[tile].data[r], emulated[tile].bytes);
}

static inline void tile_multiply(int sums, int codes, int weights)
{
    emulated_check(is_configured && emulated[sums].rows == emulated[codes].rows
                   && emulated[sums].bytes == emulated[weights].bytes
                   && emulated[codes].bytes == 4 * emulated[weights].rows);
    for (int r = 0; r < emulated[sums].rows; r++)
        for (int c = 0; c < emulated[sums].bytes / 4; c++) {
            uint32_t sum;
            memcpy(&sum, &emulated[sums].data[r][4 * c], 4);
            for (int i = 0; i < emulated[codes].bytes; i++)
                sum += (uint32_t)(emulated[codes].data[r][i]
                                  * (int8_t)emulated[weights].data[i / 4][4 * c + i % 4]);
            memcpy(&emulated[sums].data[r][4 * c], &sum, 4);
        }
}
