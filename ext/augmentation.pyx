"""Warped copies of 28x28 images: moved, turned, scaled, sheared and bent, a microsecond or so each.

The way of an image: random words of its own -> an affine map and a grid of displacements ->
for each pixel the place in the source where it comes from -> the four pixels around that place.

Random numbers come from a counter, so an image's warp depends on the seed, the epoch and the
image's index and on nothing else. The affine map is computed in doubles with + - * / alone, then
rounded; everything for each pixel is 16-bit integer arithmetic, in rows of LANES that compilers
turn into vectors. So a seed means the same pixels on every machine.

A place is counted in 1/128 of a pixel (UNIT), from the middle of the pixel at the left or top of
the padding, so that no place is negative. Displacements are random at knots SPACING pixels apart
and cubic B-splines between them: a B-spline is nearly a Gaussian of SPACING / sqrt(3) = 4 pixels,
so this is the blurred noise of Simard, Steinkraus and Platt ("Best practices for convolutional
neural networks applied to visual document analysis", 2003), with their sigma, at a small price.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from contract cimport nn_enter_fp, nn_leave_fp, nn_take, nn_work
from nncore._threads cimport share_work

cnp.import_array()

cdef enum:
    SIDE = 28
    PIXELS = SIDE * SIDE
    LANES = 32                     # a row of pixels, filled up to whole vectors
    PADDED = SIDE + 3              # rows -1 .. 29 of the source: what lies around it is 0
    UNIT_BITS = 7
    UNIT = 1 << UNIT_BITS          # parts of a pixel in a place
    SPACING = 7                    # pixels between two knots
    KNOTS = SIDE // SPACING + 3    # in a row or column: four of them make a pixel's displacement
    KNOT_LANES = 16                # the knots of x, one lane of filling, the knots of y, another
    KNOTS_Y = KNOT_LANES // 2      # where those of y begin
    KNOT_UNIT = 4 * UNIT           # parts of a pixel in a knot: each of two passes halves them
    SPAN = 64                      # images that a thread takes at a time
    WORDS = 6                      # random words before those of the knots

cdef struct Limits:
    # The largest change of each kind, in either direction: pixels, a quarter of the angle in
    # radians, shares, and parts of a pixel.
    double shift, quarter_turn, scale, shear
    int32_t knot

# Shares of the knots in a pixel's displacement, in 1/32768, of which the high half of a product
# makes half the product: those of 4 knots at each pixel between two of them, and the same spread
# over a row's lanes.
cdef int16_t[SPACING][4] shares
cdef int16_t[KNOTS][LANES] row_shares


cdef make_shares():
    """The cubic B-spline's four pieces at u = (2 i + 1) / (2 SPACING), rounded, in integers."""
    cdef int i, t, x
    one = 2 * SPACING
    for i in range(SPACING):
        u = 2 * i + 1
        pieces = (
            (one - u) ** 3,
            3 * u ** 3 - 6 * u ** 2 * one + 4 * one ** 3,
            -3 * u ** 3 + 3 * u ** 2 * one + 3 * u * one ** 2 + one ** 3,
            u ** 3,
        )
        for t in range(4):
            shares[i][t] = (2 * 32768 * pieces[t] + 6 * one ** 3) // (12 * one ** 3)
    memset(row_shares, 0, sizeof(row_shares))
    for x in range(SIDE):
        for t in range(4):
            row_shares[x // SPACING + t][x] = shares[x % SPACING][t]


make_shares()


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    """SplitMix64's output function (Steele, Lea and Flood, 2014)."""
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t word(uint64_t stream, uint64_t i) noexcept nogil:
    """The i-th random word of a stream."""
    return mixed(stream + (i + 1) * <uint64_t>0x9E3779B97F4A7C15)


cdef inline double within(double limit, uint64_t random) noexcept nogil:
    """A random word as a number from -limit to limit."""
    return limit * (<double><int64_t>(random >> 11) * (2.0 / 9007199254740992.0) - 1.0)


cdef inline int32_t fixed(double value) noexcept nogil:
    """value * 2**20, rounded; its size may be 1000 at most."""
    return <int32_t>(<int64_t>(value * 1048576.0 + 1073741824.5) - 1073741824)


cdef struct Warp:
    # Where a pixel comes from: (along_x[x] + down_x[y] + bend, along_y[x] + down_y[y] + bend).
    int16_t[LANES] along_x
    int16_t[LANES] along_y
    int16_t[SIDE] down_x
    int16_t[SIDE] down_y
    int16_t[KNOTS][KNOT_LANES] knots


cdef void draw_affine(const Limits *limits, uint64_t stream, Warp *warp) noexcept nogil:
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
    cdef int32_t xx = fixed((c + shear * s) / width), xy = fixed((s - shear * c) / width)
    cdef int32_t yx = fixed(-s / height), yy = fixed(c / height)
    # (SIDE - 1) / 2 for the middle, 1 for the padding.
    cdef double middle = (SIDE + 1) / 2.0
    cdef int32_t to_x = (fixed(middle - within(limits.shift, word(stream, 4))) + 4096) >> 13
    cdef int32_t to_y = (fixed(middle - within(limits.shift, word(stream, 5))) + 4096) >> 13
    cdef int32_t i, doubled
    for i in range(LANES):
        doubled = 2 * i - (SIDE - 1)
        warp.along_x[i] = <int16_t>((xx * doubled + 8192) >> 14)
        warp.along_y[i] = <int16_t>((yx * doubled + 8192) >> 14)
    for i in range(SIDE):
        doubled = 2 * i - (SIDE - 1)
        warp.down_x[i] = <int16_t>(((xy * doubled + 8192) >> 14) + to_x)
        warp.down_y[i] = <int16_t>(((yy * doubled + 8192) >> 14) + to_y)


cdef void draw_knots(int32_t limit, uint64_t stream, Warp *warp) noexcept nogil:
    """Each knot's displacement, from -limit to limit; a word holds four of them."""
    cdef int row, lane
    cdef uint64_t random = 0
    for row in range(KNOTS):
        for lane in range(KNOT_LANES):
            if lane % 4 == 0:
                random = word(stream, WORDS + row * (KNOT_LANES // 4) + lane // 4)
            warp.knots[row][lane] = <int16_t>(
                (<int32_t>(random & 0xFFFF) - 32768) * limit >> 15)
            random >>= 16


cdef inline int16_t high(int16_t a, int16_t b) noexcept nogil:
    """a * b / 65536, rounded down: one instruction for a vector of them."""
    return <int16_t>((<int32_t>a * <int32_t>b) >> 16)


cdef void bend_row(const Warp *warp, int y, int16_t *bend_x, int16_t *bend_y) noexcept nogil:
    """The displacements of a row of pixels: the knots' curves down to it, then along it."""
    cdef const int16_t *share = shares[y % SPACING]
    cdef int k = y // SPACING, i
    cdef int16_t[KNOT_LANES] row
    for i in range(KNOT_LANES):
        # 2: four products are rounded down, by half a part each on average.
        row[i] = (2 + high(warp.knots[k][i], share[0]) + high(warp.knots[k + 1][i], share[1])
                  + high(warp.knots[k + 2][i], share[2]) + high(warp.knots[k + 3][i], share[3]))
    spread(row, bend_x)
    spread(row + KNOTS_Y, bend_y)


cdef inline void spread(const int16_t *row, int16_t *bend) noexcept nogil:
    """KNOTS knots of a row -> LANES displacements."""
    cdef int i
    cdef int16_t k0 = row[0], k1 = row[1], k2 = row[2], k3 = row[3], k4 = row[4], k5 = row[5]
    cdef int16_t k6 = row[6]
    for i in range(LANES):
        bend[i] = (2 + high(k0, row_shares[0][i]) + high(k1, row_shares[1][i])
                   + high(k2, row_shares[2][i]) + high(k3, row_shares[3][i])
                   + high(k4, row_shares[4][i]) + high(k5, row_shares[5][i])
                   + high(k6, row_shares[6][i]))


cdef inline int16_t inside(int16_t place) noexcept nogil:
    """Far outside is as good as just outside: all of it is 0."""
    place = 0 if place < 0 else place
    return (SIDE + 1) * UNIT if place > (SIDE + 1) * UNIT else place


cdef struct Places:
    # For each pixel, in rows of LANES: the element of the pairs that is left of its place and above
    # it, how far to the right and down from there the place is; then the pair there, and below it.
    uint16_t[SIDE * LANES] at
    int16_t[SIDE * LANES] right
    int16_t[SIDE * LANES] down
    uint16_t[SIDE * LANES] upper
    uint16_t[SIDE * LANES] lower


cdef void find_row(const Warp *warp, int y, const int16_t *bend_x, const int16_t *bend_y,
                   Places *places) noexcept nogil:
    """Where a row of pixels comes from."""
    cdef int16_t to_x = warp.down_x[y], to_y = warp.down_y[y], place_x, place_y
    cdef int i, first = y * LANES
    for i in range(LANES):
        place_x = inside(<int16_t>(warp.along_x[i] + to_x + bend_x[i]))
        place_y = inside(<int16_t>(warp.along_y[i] + to_y + bend_y[i]))
        places.at[first + i] = <uint16_t>((place_y >> UNIT_BITS) * LANES + (place_x >> UNIT_BITS))
        places.right[first + i] = place_x & (UNIT - 1)
        places.down[first + i] = place_y & (UNIT - 1)


cdef void fetch(const uint16_t *pairs, Places *places) noexcept nogil:
    """What is there. Only this is done pixel by pixel, and for the whole image at once: a processor
    waits when it loads as a vector what it has only just stored word by word."""
    cdef const uint16_t *below = pairs + LANES
    cdef int i
    for i in range(SIDE * LANES):
        places.upper[i] = pairs[places.at[i]]
        places.lower[i] = below[places.at[i]]


cdef void blend_row(const Places *places, int y, uint8_t *out) noexcept nogil:
    """A row of pixels, each made of the four around the place it comes from; LANES are written."""
    cdef const int16_t *right = places.right + y * LANES
    cdef const int16_t *down = places.down + y * LANES
    cdef const uint16_t *upper = places.upper + y * LANES
    cdef const uint16_t *lower = places.lower + y * LANES
    cdef uint8_t[LANES] row
    cdef int16_t a, b
    cdef int i
    for i in range(LANES):
        # The pixels' weights add up to UNIT: 255 * 128 fits into 15 bits, and so does what follows.
        a = <int16_t>((upper[i] & 255) * (UNIT - right[i]) + (upper[i] >> 8) * right[i])
        b = <int16_t>((lower[i] & 255) * (UNIT - right[i]) + (lower[i] >> 8) * right[i])
        row[i] = <uint8_t>(((a >> 1) + high(<int16_t>(b - a), <int16_t>(down[i] << 8)) + 32) >> 6)
    memcpy(out, row, LANES)


cdef struct Images:
    # Rows of PIXELS, one after the other; a type's size is that of its elements.
    char *data
    int size


cdef inline uint8_t level(double pixel, bint *bad) noexcept nogil:
    """A pixel in [0, 1] as one of 256 levels."""
    cdef bint good = 0 <= pixel <= 1  # not NaN
    bad[0] |= not good
    return <uint8_t><int32_t>((pixel if good else 0) * 255 + 0.5)


cdef bint pair_up(const Images *x, int64_t i, uint16_t *pairs) noexcept nogil:
    """Image i, each pixel with its right neighbour in the high byte; the padding stays as it is.
    True if a pixel of a floating-point image is outside [0, 1]."""
    cdef uint8_t[PIXELS] levels
    cdef const uint8_t *pixels = levels
    cdef const char *image = x.data + i * PIXELS * x.size
    cdef uint16_t *to
    cdef bint bad = False
    cdef int y, j
    if x.size == 1:
        pixels = <const uint8_t *>image
    elif x.size == 4:
        for j in range(PIXELS):
            levels[j] = level((<const float *>image)[j], &bad)
    else:
        for j in range(PIXELS):
            levels[j] = level((<const double *>image)[j], &bad)
    for y in range(SIDE):
        to = pairs + (y + 1) * LANES
        to[0] = <uint16_t>(pixels[0] << 8)
        for j in range(SIDE - 1):
            to[j + 1] = <uint16_t>(pixels[j] | pixels[j + 1] << 8)
        to[SIDE] = pixels[SIDE - 1]
        pixels += SIDE
    return bad


cdef void write(const uint8_t *pixels, const Images *out, int64_t i) noexcept nogil:
    cdef char *to = out.data + i * PIXELS * out.size
    cdef int j
    if out.size == 1:
        memcpy(to, pixels, PIXELS)
    elif out.size == 4:
        for j in range(PIXELS):
            (<float *>to)[j] = <float>pixels[j] / <float>255
    else:
        for j in range(PIXELS):
            (<double *>to)[j] = <double>pixels[j] / 255


cdef class Job:
    """One call, shared between threads: each takes the next images until none are left.

    Parameters
    ----------
    x, out : ndarray
        (N, PIXELS) and (n, PIXELS), C-contiguous, of one dtype: uint8, or float32 or float64 with
        pixels in [0, 1].
    index : ndarray
        (n,) int64: the image of x that each image of out is made of.
    limits : (shift, quarter turn in radians, scale, shear, knots in pixels)
    key : int
        64 random bits of the seed and the epoch.
    """

    cdef Images x
    cdef Images out
    cdef const int64_t *index
    cdef Limits limits
    cdef uint64_t key
    cdef ptrdiff_t n, next
    cdef tuple keep
    cdef readonly bint bad  # a pixel was outside [0, 1]

    def __cinit__(self, cnp.ndarray x, cnp.ndarray out, cnp.ndarray index, limits, key):
        self.keep = (x, out, index)
        self.x.data, self.x.size = cnp.PyArray_BYTES(x), cnp.PyArray_ITEMSIZE(x)
        self.out.data, self.out.size = cnp.PyArray_BYTES(out), cnp.PyArray_ITEMSIZE(out)
        self.index = <const int64_t *>cnp.PyArray_DATA(index)
        self.limits.shift, self.limits.quarter_turn = limits[0], limits[1]
        self.limits.scale, self.limits.shear = limits[2], limits[3]
        self.limits.knot = <int32_t>(<double>limits[4] * KNOT_UNIT + 0.5)
        self.key = key
        self.n = cnp.PyArray_DIM(index, 0)

    def run(self, ptrdiff_t threads):
        """By so many threads at most, this one among them."""
        threads = max(1, min(threads, (self.n + SPAN - 1) // SPAN))
        with nogil:
            share_work(<nn_work *>_work, <void *>self, threads, True)

    cdef void work(self) noexcept nogil:
        cdef unsigned long long found = nn_enter_fp()
        cdef ptrdiff_t first
        while True:
            first = nn_take(&self.next) * SPAN
            if first >= self.n:
                break
            self.warp(first, min(first + SPAN, self.n))
        nn_leave_fp(found)

    cdef void warp(self, ptrdiff_t first, ptrdiff_t end) noexcept nogil:
        """Images first .. end - 1."""
        cdef uint16_t[PADDED * LANES] pairs
        cdef uint8_t[PIXELS + LANES] pixels  # the last row's spare lanes go behind it
        cdef int16_t[LANES] bend_x
        cdef int16_t[LANES] bend_y
        cdef Warp warp
        cdef Places places
        cdef uint64_t stream
        cdef ptrdiff_t i
        cdef int y
        memset(pairs, 0, sizeof(pairs))
        memset(bend_x, 0, sizeof(bend_x))
        memset(bend_y, 0, sizeof(bend_y))
        for i in range(first, end):
            stream = word(self.key, <uint64_t>self.index[i])
            draw_affine(&self.limits, stream, &warp)
            if self.limits.knot > 0:
                draw_knots(self.limits.knot, stream, &warp)
            if pair_up(&self.x, self.index[i], pairs):
                self.bad = True
            for y in range(SIDE):
                if self.limits.knot > 0:
                    bend_row(&warp, y, bend_x, bend_y)
                find_row(&warp, y, bend_x, bend_y, &places)
            fetch(pairs, &places)
            for y in range(SIDE):
                blend_row(&places, y, pixels + y * SIDE)
            write(pixels, &self.out, i)


cdef void _work(Job job, int thread) noexcept nogil:
    job.work()
