"""Warped copies of images: moved, turned, scaled, sheared and bent; 28x28 pixels take about 2 µs.

The way of an image: random words of its own -> an affine map and a grid of displacements ->
for each pixel the place in the source where it comes from -> the four pixels around that place.

Random numbers come from a counter, so the warp of an image depends on the seed, the epoch and the
index of the image, and on nothing else. The affine map is computed in doubles with + - * / alone
and then rounded; everything for each pixel is integer arithmetic, in rows of whole LANES that
compilers turn into vectors. So a seed means the same pixels on every machine.

A place is counted in 1/128 of a pixel (UNIT), from the middle of the pixel at the left or top of
the padding, so that no place inside the padded image is negative. Displacements are random at knots
SPACING pixels apart and cubic B-splines between them: a B-spline is nearly a Gaussian of
SPACING / sqrt(3) = 4 pixels, so this is the blurred noise of Simard, Steinkraus and Platt ("Best
practices for convolutional neural networks applied to visual document analysis", 2003) with their
sigma, at a small price.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

cimport ndarrays as cnp

from contract cimport nn_enter_fp, nn_leave_fp, nn_mix, nn_take, nn_work
from nncore._table cimport share_work

import numpy as np

cnp.import_array()

cdef enum:
    LANES = 32                     # rows of pixels are filled up to a multiple of this
    UNIT_BITS = 7
    UNIT = 1 << UNIT_BITS          # parts of a pixel in a place
    SPACING = 7                    # pixels between two knots
    BLOCK = 4 * SPACING            # pixels whose displacements are computed together
    BLOCK_KNOTS = 4 + 3            # in a row of a block: four of them make a pixel's displacement
    KNOT_LANES = 8                 # BLOCK_KNOTS, filled up
    KNOT_UNIT = 4 * UNIT           # parts of a pixel in a knot: each of two passes halves them
    GROUP = 28                     # rows of an image that are fetched together
    DIGIT = 28                     # the side of the images that have code of their own
    SPAN_PIXELS = 64 * DIGIT * DIGIT  # about as many pixels a thread takes at a time
    WORDS = 6                      # random words before those of the knots

# What places are computed in: 16 bits where those of the whole image fit, which is twice as fast.
ctypedef fused place_t:
    int16_t
    int32_t

cdef struct Limits:
    # The largest change of each kind, in either direction: pixels, a quarter of the angle in
    # radians, shares, and parts of a pixel.
    double shift, quarter_turn, scale, shear
    int32_t knot

# The shares of the knots in a pixel's displacement, in 1/32768, of which the high half of a product
# makes half the product: those of 4 knots at each pixel between two of them, and the same spread
# over the pixels of a block.
cdef int16_t[SPACING][4] shares
cdef int16_t[BLOCK_KNOTS][LANES] block_shares


cdef make_shares():
    """The cubic B-spline's four pieces at u = (2 i + 1) / (2 SPACING), rounded, in integers."""
    cdef int i, t, x
    cdef int64_t one = 2 * SPACING, u  # not Python's numbers, for which the code is 5 kB longer
    cdef int64_t[4] pieces
    for i in range(SPACING):
        u = 2 * i + 1
        pieces = [
            (one - u) ** 3,
            3 * u ** 3 - 6 * u ** 2 * one + 4 * one ** 3,
            -3 * u ** 3 + 3 * u ** 2 * one + 3 * u * one ** 2 + one ** 3,
            u ** 3,
        ]
        for t in range(4):
            shares[i][t] = <int16_t>((2 * 32768 * pieces[t] + 6 * one ** 3) // (12 * one ** 3))
    memset(block_shares, 0, sizeof(block_shares))
    for x in range(BLOCK):
        for t in range(4):
            block_shares[x // SPACING + t][x] = shares[x % SPACING][t]


make_shares()


cdef inline uint64_t word(uint64_t stream, uint64_t i) noexcept nogil:
    """The i-th random word of a stream: SplitMix64."""
    return nn_mix(stream + (i + 1) * <uint64_t>0x9E3779B97F4A7C15)


cdef inline double within(double limit, uint64_t random) noexcept nogil:
    """A random word as a number from -limit to limit."""
    return limit * (<double><int64_t>(random >> 11) * (2.0 / 9007199254740992.0) - 1.0)


cdef inline int64_t fixed(double value) noexcept nogil:
    """value * 2**20, rounded; its size may be 2**19 at most."""
    # The sum is positive, so that to cut it off is to round it down. The smaller constant keeps
    # more bits of the value; it decides the pixels of small images, so it has to stay.
    if -1000 < value < 1000:
        return <int64_t>(value * 1048576.0 + 1073741824.5) - (<int64_t>1 << 30)
    return <int64_t>(value * 1048576.0 + 1099511627776.5) - (<int64_t>1 << 40)


cdef struct Size:
    ptrdiff_t h, w
    ptrdiff_t blocks               # of pixels in a row
    ptrdiff_t lanes                # of a row of pixels, with its padding
    ptrdiff_t knot_rows
    ptrdiff_t knot_lanes           # of a row of knots: half of them for x, half for y


cdef struct DigitSize:
    # The same for DIGIT x DIGIT pixels. Functions that take a size_type are compiled once for each
    # type. Those for a DigitSize are called from one place only, where its numbers are constants:
    # so compilers inline the functions and compute with the constants. It makes these images a
    # fifth faster.
    ptrdiff_t h, w, blocks, lanes, knot_rows, knot_lanes


ctypedef fused size_type:
    Size
    DigitSize


cdef inline void set_size(size_type *size, ptrdiff_t h, ptrdiff_t w) noexcept nogil:
    size.h, size.w = h, w
    size.blocks = (w + BLOCK - 1) // BLOCK
    # The last block is written LANES wide; the padding takes two columns.
    size.lanes = (size.blocks * BLOCK + LANES - BLOCK + LANES - 1) // LANES * LANES
    size.knot_rows = (h - 1) // SPACING + 4
    size.knot_lanes = 2 * (4 * size.blocks + 4)


cdef struct Warp:
    # The memory of a thread. A pixel (y, x) comes from the place
    # (along_x[x] + down_x[y] + bend_x[x], along_y[x] + down_y[y] + bend_y[x]).
    void *along_x                  # lanes of place_t
    void *along_y
    void *down_x                   # h of place_t
    void *down_y
    int16_t *knots                 # knot_rows rows of knot_lanes
    uint16_t *pairs                # h + 3 rows of lanes: pixels with their right neighbours
    # Of each pixel in a group of rows of blocks, LANES each: the element of the pairs that is left
    # of its place and above it, how far to the right and down from there the place is; then the
    # pair that is there, and the one below it.
    void *at                       # uint16_t for places of 16 bits, else int32_t
    int16_t *right
    int16_t *down
    uint16_t *upper
    uint16_t *lower
    uint8_t *levels                # h * w
    uint8_t *pixels                # h * w, and LANES spare ones that the last row is written into


cdef inline size_t lay_out(Warp *warp, const size_type *size, char *memory) noexcept nogil:
    """Divide memory among the parts of a warp, and return how many bytes they take."""
    cdef char *start = memory
    cdef ptrdiff_t group = min(size.h, <ptrdiff_t>GROUP) * size.blocks * LANES
    cdef ptrdiff_t pixels = size.h * size.w
    warp.along_x = _part(&memory, size.lanes * sizeof(int32_t))
    warp.along_y = _part(&memory, size.lanes * sizeof(int32_t))
    warp.down_x = _part(&memory, size.h * sizeof(int32_t))
    warp.down_y = _part(&memory, size.h * sizeof(int32_t))
    warp.knots = <int16_t *>_part(&memory, size.knot_rows * size.knot_lanes * sizeof(int16_t))
    warp.pairs = <uint16_t *>_part(&memory, (size.h + 3) * size.lanes * sizeof(uint16_t))
    warp.at = _part(&memory, group * sizeof(int32_t))
    warp.right = <int16_t *>_part(&memory, group * sizeof(int16_t))
    warp.down = <int16_t *>_part(&memory, group * sizeof(int16_t))
    warp.upper = <uint16_t *>_part(&memory, group * sizeof(uint16_t))
    warp.lower = <uint16_t *>_part(&memory, group * sizeof(uint16_t))
    warp.levels = <uint8_t *>_part(&memory, pixels)
    warp.pixels = <uint8_t *>_part(&memory, pixels + LANES)
    return memory - start


cdef inline char *_part(char **memory, size_t size) noexcept nogil:
    """The next bytes of the memory, as many as whole cache lines take."""
    cdef char *part = memory[0]
    memory[0] += (size + 63) // 64 * 64
    return part


cdef bint is_narrow(const Limits *limits, const Size *size) noexcept:
    """Whether every place, before it is limited to the image, fits into 16 bits."""
    cdef double side = max(size.h, size.w)
    # A pixel is half a side from the middle at most, spare lanes a side and LANES; along each axis
    # the map takes that times sqrt(2) (1 + shear) / (1 - scale) at most.
    cdef double reach = 2 * (side + LANES) / 2 * 1.4143 * (1 + limits.shear) / (1 - limits.scale)
    cdef double bend = limits.knot / <double>KNOT_UNIT
    return ((reach + side / 2 + limits.shift + bend + 4) * UNIT < 32767
            and (size.h + 3) * size.lanes < 65536)


cdef struct Affine:
    int64_t xx, xy, yx, yy         # 2**20 times the factors
    int64_t to_x, to_y             # places


cdef Affine draw_affine(const Limits *limits, ptrdiff_t h, ptrdiff_t w,
                        uint64_t stream) noexcept nogil:
    """The map back from a pixel of the warped image: the image is first moved, then scaled, sheared
    and turned about the middle, so a pixel is first turned back, and moved back last."""
    cdef double z = within(limits.quarter_turn, word(stream, 0)), zz = z * z
    # Taylor's series; with |z| <= pi / 4 the first terms left out are below 1e-9. Then twice the
    # angle, twice: exact enough for a pixel, and the same on every machine, as libm's would not be.
    cdef double s = z * (1 - zz / 6 * (1 - zz / 20 * (1 - zz / 42 * (1 - zz / 72))))
    cdef double c = 1 - zz / 2 * (1 - zz / 12 * (1 - zz / 30 * (1 - zz / 56 * (1 - zz / 90))))
    s, c = 2 * s * c, c * c - s * s
    s, c = 2 * s * c, c * c - s * s
    cdef double shear = within(limits.shear, word(stream, 1))
    cdef double width = 1 + within(limits.scale, word(stream, 2))
    cdef double height = 1 + within(limits.scale, word(stream, 3))
    cdef Affine affine
    affine.xx, affine.xy = fixed((c + shear * s) / width), fixed((s - shear * c) / width)
    affine.yx, affine.yy = fixed(-s / height), fixed(c / height)
    # (w - 1) / 2 for the middle, 1 for the padding.
    cdef double middle_x = (w + 1) / 2.0, middle_y = (h + 1) / 2.0
    affine.to_x = (fixed(middle_x - within(limits.shift, word(stream, 4))) + 4096) >> 13
    affine.to_y = (fixed(middle_y - within(limits.shift, word(stream, 5))) + 4096) >> 13
    return affine


cdef inline void scale_by_place(int64_t factor, ptrdiff_t side, ptrdiff_t count, int64_t offset,
                                place_t *out) noexcept nogil:
    """factor times the distance of each pixel from the middle of a side, and the offset."""
    cdef int32_t narrow_factor = <int32_t>factor, narrow_offset = <int32_t>offset, narrow_twice
    cdef int64_t twice
    cdef ptrdiff_t i
    for i in range(count):
        if place_t is int16_t:  # what fits into 16 bits below had 30 bits here
            narrow_twice = 2 * <int32_t>i - (<int32_t>side - 1)
            out[i] = <place_t>(((narrow_factor * narrow_twice + 8192) >> 14) + narrow_offset)
        else:
            twice = 2 * i - (side - 1)
            out[i] = <place_t>(((factor * twice + 8192) >> 14) + offset)


cdef void draw_knots(int32_t limit, ptrdiff_t count, uint64_t stream,
                     int16_t *knots) noexcept nogil:
    """Each knot's displacement, from -limit to limit; a word holds four of them."""
    cdef ptrdiff_t i
    cdef int j
    cdef uint64_t random
    for i in range(count // 4):
        random = word(stream, WORDS + <uint64_t>i)
        for j in range(4):
            knots[4 * i + j] = <int16_t>((<int32_t>(random & 0xFFFF) - 32768) * limit >> 15)
            random >>= 16


cdef inline int16_t high(int16_t a, int16_t b) noexcept nogil:
    """a * b / 65536, rounded down: one instruction for a vector of them."""
    return <int16_t>((<int32_t>a * <int32_t>b) >> 16)


cdef void bend(const size_type *size, ptrdiff_t y, ptrdiff_t block, const Warp *warp,
               int16_t *bend_x, int16_t *bend_y) noexcept nogil:
    """The displacements of a block of a row: the knots' curves down to the row, then along it."""
    cdef const int16_t *share = shares[y % SPACING]
    cdef const int16_t *k0 = warp.knots + y // SPACING * size.knot_lanes + 4 * block
    cdef const int16_t *k1 = k0 + size.knot_lanes
    cdef const int16_t *k2 = k1 + size.knot_lanes
    cdef const int16_t *k3 = k2 + size.knot_lanes
    cdef ptrdiff_t to_y = size.knot_lanes // 2
    cdef int16_t[KNOT_LANES] row_x
    cdef int16_t[KNOT_LANES] row_y
    cdef int i
    for i in range(KNOT_LANES):
        # 2: four products are rounded down, by half a part each on average.
        row_x[i] = (2 + high(k0[i], share[0]) + high(k1[i], share[1])
                    + high(k2[i], share[2]) + high(k3[i], share[3]))
        row_y[i] = (2 + high(k0[to_y + i], share[0]) + high(k1[to_y + i], share[1])
                    + high(k2[to_y + i], share[2]) + high(k3[to_y + i], share[3]))
    spread(row_x, bend_x)
    spread(row_y, bend_y)


cdef inline void spread(const int16_t *row, int16_t *bend) noexcept nogil:
    """BLOCK_KNOTS knots of a row -> LANES displacements; those behind the block are undefined."""
    cdef int i
    cdef int16_t k0 = row[0], k1 = row[1], k2 = row[2], k3 = row[3], k4 = row[4], k5 = row[5]
    cdef int16_t k6 = row[6]
    for i in range(LANES):
        bend[i] = (2 + high(k0, block_shares[0][i]) + high(k1, block_shares[1][i])
                   + high(k2, block_shares[2][i]) + high(k3, block_shares[3][i])
                   + high(k4, block_shares[4][i]) + high(k5, block_shares[5][i])
                   + high(k6, block_shares[6][i]))


cdef inline place_t inside(place_t place, place_t end) noexcept nogil:
    """Far outside is as good as just outside: all of it is 0."""
    place = 0 if place < 0 else place
    return end if place > end else place


cdef inline void find(const size_type *size, ptrdiff_t y, ptrdiff_t x, const int16_t *bend_x,
                      const int16_t *bend_y, ptrdiff_t first, Warp *warp,
                      place_t *kind) noexcept nogil:
    """Where LANES pixels of a row come from, (y, x) and those behind it."""
    cdef const place_t *along_x = <const place_t *>warp.along_x + x
    cdef const place_t *along_y = <const place_t *>warp.along_y + x
    cdef place_t to_x = (<const place_t *>warp.down_x)[y], to_y = (<const place_t *>warp.down_y)[y]
    cdef place_t right_end = <place_t>((size.w + 1) * UNIT)
    cdef place_t lower_end = <place_t>((size.h + 1) * UNIT)
    cdef place_t place_x, place_y
    cdef int32_t lanes = <int32_t>size.lanes
    # Arrays of its own, and copies: a compiler that cannot tell whether what it reads and what it
    # writes overlap makes no vectors of it.
    cdef uint16_t[LANES] narrow_at
    cdef int32_t[LANES] wide_at
    cdef int16_t[LANES] right
    cdef int16_t[LANES] down
    cdef int i
    for i in range(LANES):
        place_x = inside[place_t](<place_t>(along_x[i] + to_x + bend_x[i]), right_end)
        place_y = inside[place_t](<place_t>(along_y[i] + to_y + bend_y[i]), lower_end)
        if place_t is int16_t:
            narrow_at[i] = <uint16_t>(
                (place_y >> UNIT_BITS) * <uint16_t>lanes + (place_x >> UNIT_BITS))
        else:
            wide_at[i] = (place_y >> UNIT_BITS) * lanes + (place_x >> UNIT_BITS)
        right[i] = <int16_t>(place_x & (UNIT - 1))
        down[i] = <int16_t>(place_y & (UNIT - 1))
    if place_t is int16_t:
        memcpy(<uint16_t *>warp.at + first, narrow_at, sizeof(narrow_at))
    else:
        memcpy(<int32_t *>warp.at + first, wide_at, sizeof(wide_at))
    memcpy(warp.right + first, right, sizeof(right))
    memcpy(warp.down + first, down, sizeof(down))


cdef inline void fetch(const size_type *size, ptrdiff_t count, Warp *warp,
                       place_t *kind) noexcept nogil:
    """What is there, for `count` lanes. Only this is done pixel by pixel, and for a group of rows
    at once: a processor waits when it loads as a vector what it has only just stored word by
    word."""
    cdef const uint16_t *pairs = warp.pairs
    cdef const uint16_t *below = warp.pairs + size.lanes
    cdef const uint16_t *narrow_at = <const uint16_t *>warp.at
    cdef const int32_t *wide_at = <const int32_t *>warp.at
    cdef uint16_t[LANES] upper  # see find
    cdef uint16_t[LANES] lower
    cdef ptrdiff_t block, first, at
    cdef int i
    for block in range(count // LANES):
        first = block * LANES
        for i in range(LANES):
            if place_t is int16_t:
                at = narrow_at[first + i]
            else:
                at = wide_at[first + i]
            upper[i] = pairs[at]
            lower[i] = below[at]
        memcpy(warp.upper + first, upper, sizeof(upper))
        memcpy(warp.lower + first, lower, sizeof(lower))


cdef void blend(const size_type *size, ptrdiff_t y, ptrdiff_t x, ptrdiff_t first,
                const Warp *warp) noexcept nogil:
    """LANES pixels of a row, each made of the four around the place it comes from."""
    cdef const int16_t *right = warp.right + first
    cdef const int16_t *down = warp.down + first
    cdef const uint16_t *upper = warp.upper + first
    cdef const uint16_t *lower = warp.lower + first
    cdef uint8_t[LANES] row
    cdef int16_t a, b
    cdef int i
    for i in range(LANES):
        # The pixels' weights add up to UNIT: 255 * 128 fits into 15 bits, and so does what follows.
        a = <int16_t>((upper[i] & 255) * (UNIT - right[i]) + (upper[i] >> 8) * right[i])
        b = <int16_t>((lower[i] & 255) * (UNIT - right[i]) + (lower[i] >> 8) * right[i])
        row[i] = <uint8_t>(((a >> 1) + high(<int16_t>(b - a), <int16_t>(down[i] << 8)) + 32) >> 6)
    memcpy(warp.pixels + y * size.w + x, row, LANES)


cdef struct Images:
    # One after the other; itemsize is that of a pixel in bytes.
    char *data
    int itemsize


cdef inline uint8_t level(double pixel, bint *bad) noexcept nogil:
    """A pixel in [0, 1] as one of 256 levels."""
    cdef bint good = 0 <= pixel <= 1  # not NaN
    bad[0] |= not good
    return <uint8_t><int32_t>((pixel if good else 0) * 255 + 0.5)


cdef bint read(const Images *x, ptrdiff_t count, int64_t i, uint8_t *levels) noexcept nogil:
    """The levels of image i of floating-point numbers. True if one of them is outside [0, 1]."""
    cdef const char *image = x.data + i * count * x.itemsize
    cdef ptrdiff_t j
    cdef bint bad = False
    if x.itemsize == 4:
        for j in range(count):
            levels[j] = level((<const float *>image)[j], &bad)
    else:
        for j in range(count):
            levels[j] = level((<const double *>image)[j], &bad)
    return bad


cdef void pair_up(const uint8_t *pixels, const size_type *size, uint16_t *pairs) noexcept nogil:
    """Each pixel with its right neighbour in the high byte; the padding stays as it is."""
    cdef uint16_t *to
    cdef ptrdiff_t y, x
    for y in range(size.h):
        to = pairs + (y + 1) * size.lanes
        to[0] = <uint16_t>(pixels[0] << 8)
        for x in range(size.w - 1):
            to[x + 1] = <uint16_t>(pixels[x] | pixels[x + 1] << 8)
        to[size.w] = pixels[size.w - 1]
        pixels += size.w


cdef void write(const uint8_t *pixels, ptrdiff_t count, const Images *out,
                ptrdiff_t i) noexcept nogil:
    cdef ptrdiff_t j
    cdef char *to = out.data + i * count * out.itemsize
    if out.itemsize == 1:
        memcpy(to, pixels, count)
    elif out.itemsize == 4:
        for j in range(count):
            (<float *>to)[j] = <float>pixels[j] / <float>255
    else:
        for j in range(count):
            (<double *>to)[j] = <double>pixels[j] / 255


cdef void warp_image(const Limits *limits, const size_type *size, uint64_t stream,
                     const uint8_t *pixels, char *memory, place_t *kind) noexcept nogil:
    """The pixels of one image, in a thread's memory, where its knots are already."""
    cdef ptrdiff_t group, top, rows, y, block
    cdef int16_t[LANES] bend_x
    cdef int16_t[LANES] bend_y
    cdef Affine affine
    cdef Warp parts
    cdef Warp *warp = &parts
    lay_out[size_type](warp, size, memory)
    pair_up[size_type](pixels, size, warp.pairs)
    affine = draw_affine(limits, size.h, size.w, stream)
    scale_by_place[place_t](affine.xx, size.w, size.lanes, 0, <place_t *>warp.along_x)
    scale_by_place[place_t](affine.yx, size.w, size.lanes, 0, <place_t *>warp.along_y)
    scale_by_place[place_t](affine.xy, size.h, size.h, affine.to_x, <place_t *>warp.down_x)
    scale_by_place[place_t](affine.yy, size.h, size.h, affine.to_y, <place_t *>warp.down_y)
    memset(bend_x, 0, sizeof(bend_x))
    memset(bend_y, 0, sizeof(bend_y))
    for group in range((size.h + GROUP - 1) // GROUP):
        top = group * GROUP
        rows = min(<ptrdiff_t>GROUP, size.h - top)
        for y in range(rows):
            for block in range(size.blocks):
                if limits.knot > 0:
                    bend[size_type](size, top + y, block, warp, bend_x, bend_y)
                find[size_type, place_t](size, top + y, block * BLOCK, bend_x, bend_y,
                                         (y * size.blocks + block) * LANES, warp, kind)
        fetch[size_type, place_t](size, rows * size.blocks * LANES, warp, kind)
        for y in range(rows):
            for block in range(size.blocks):
                blend[size_type](size, top + y, block * BLOCK, (y * size.blocks + block) * LANES,
                                 warp)


cdef class Warping:
    """One call, shared between threads: each takes the next images until none are left.

    Parameters
    ----------
    x, out : ndarray
        (N, h * w) and (n, h * w), C-contiguous, of one dtype: uint8, or float32 or float64 with
        pixels in [0, 1].
    shape : (h, w)
        Each from 1 to MOST_SIDE.
    index : ndarray
        (n,) int64: the image of x that each image of out is made of. Nobody may write to it.
    limits : (shift, quarter turn in radians, scale, shear, knots in pixels)
    key : int
        64 random bits of the seed and the epoch.
    """

    cdef Images x
    cdef Images out
    cdef Size size
    cdef const int64_t *index
    cdef Limits limits
    cdef bint narrow
    cdef uint64_t key
    cdef ptrdiff_t n, span, next
    cdef tuple keep
    cdef char *memory  # of all threads, `room` bytes for each
    cdef size_t room
    cdef readonly bint bad  # a pixel was outside [0, 1]

    def __cinit__(self, cnp.ndarray x, cnp.ndarray out, shape, cnp.ndarray index, limits, key):
        cdef Warp warp
        self.keep = (x, out, index)
        self.x.data, self.x.itemsize = cnp.PyArray_BYTES(x), cnp.PyArray_ITEMSIZE(x)
        self.out.data, self.out.itemsize = cnp.PyArray_BYTES(out), cnp.PyArray_ITEMSIZE(out)
        set_size[Size](&self.size, shape[0], shape[1])
        self.room = lay_out[Size](&warp, &self.size, NULL)
        self.index = <const int64_t *>cnp.PyArray_DATA(index)
        self.limits.shift, self.limits.quarter_turn = limits[0], limits[1]
        self.limits.scale, self.limits.shear = limits[2], limits[3]
        self.limits.knot = <int32_t>(<double>limits[4] * KNOT_UNIT + 0.5)
        self.narrow = is_narrow(&self.limits, &self.size)
        self.key = key
        self.n = cnp.PyArray_DIM(index, 0)
        self.span = max(1, SPAN_PIXELS // (self.size.h * self.size.w))

    def run(self, ptrdiff_t threads):
        """By so many threads at most, this one among them."""
        threads = max(1, min(threads, (self.n + self.span - 1) // self.span))
        memory = np.zeros(threads * self.room + 64, np.uint8)
        self.memory = <char *>cnp.PyArray_DATA(<cnp.ndarray>memory)
        self.memory += -<size_t>self.memory % 64
        with nogil:
            share_work(<nn_work *>_work, <void *>self, threads, True)

    cdef void work(self, int thread) noexcept nogil:
        cdef unsigned long long found = nn_enter_fp()
        cdef ptrdiff_t first, i
        cdef char *memory = self.memory + thread * self.room
        while True:
            first = nn_take(&self.next) * self.span
            if first >= self.n:
                break
            for i in range(first, min(first + self.span, self.n)):
                self.warp(i, memory)
        nn_leave_fp(found)

    cdef void warp(self, ptrdiff_t i, char *memory) noexcept nogil:
        """Image i of the result."""
        cdef int64_t index = self.index[i]
        cdef uint64_t stream = word(self.key, <uint64_t>index)
        cdef ptrdiff_t count = self.size.h * self.size.w
        cdef const uint8_t *pixels = <const uint8_t *>self.x.data + index * count
        cdef DigitSize digit
        cdef Warp warp
        lay_out[Size](&warp, &self.size, memory)
        if self.x.itemsize > 1:
            pixels = warp.levels
            if read(&self.x, count, index, warp.levels):
                self.bad = True
        if self.limits.knot > 0:
            draw_knots(self.limits.knot, self.size.knot_rows * self.size.knot_lanes, stream,
                       warp.knots)
        if not self.narrow:
            warp_image[Size, int32_t](&self.limits, &self.size, stream, pixels, memory,
                                      <int32_t *>NULL)
        elif self.size.h == DIGIT and self.size.w == DIGIT:
            set_size[DigitSize](&digit, DIGIT, DIGIT)
            warp_image[DigitSize, int16_t](&self.limits, &digit, stream, pixels, memory,
                                           <int16_t *>NULL)
        else:
            warp_image[Size, int16_t](&self.limits, &self.size, stream, pixels, memory,
                                      <int16_t *>NULL)
        write(warp.pixels, count, &self.out, i)


cdef void _work(Warping warping, int thread) noexcept nogil:
    warping.work(thread)
