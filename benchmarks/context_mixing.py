"""What attributions would take if a coder adapted to everything that comes before.

A measure, not a codec: each number is told by yes-or-no questions (is it zero, its
sign, is it larger than 1, …). Several contexts each keep a probability of every answer,
and their logits are mixed with weights that are learnt as the numbers go by (Mahoney,
"Adaptive weighing of context models for lossless data compression", 2005). Only what a
decoder would have read already is looked at; the linear guesses' weights are fitted to
the numbers themselves, and not counted.
"""

import numba
import numpy as np

_TABLE_BITS = 22
_UNARY = 16  # magnitudes that are counted one by one
_LEARNING = 0.004
_PATIENCE = 250  # answers after which a probability is only tracked
_EDGES = (1, 2, 3, 4, 6, 8, 11, 15, 20, 28, 40, 60, 100, 180)


def bits_per_number(codes: np.ndarray) -> float:
    """Mean code length of maps int8 [M, N, H, W], read map by map in each frame."""
    numbers = codes.astype(np.int64)
    # [N, M, …]: the order in which they are read.
    contexts = np.moveaxis(_contexts(numbers), 1, 2)
    total = _coded_bits(np.ascontiguousarray(numbers.swapaxes(0, 1)), contexts)
    return total / codes.size


def _contexts(codes: np.ndarray) -> np.ndarray:
    """What the probabilities depend on, int32 [contexts, M, N, H, W]."""
    around = np.pad(codes, ((3, 0), (1, 0), (2, 2), (2, 2)))
    n_maps, n_frames, height, width = codes.shape

    def at(dy: int, dx: int, frame: int = 0, map_: int = 0) -> np.ndarray:
        return around[
            3 - map_ : 3 - map_ + n_maps,
            1 - frame : 1 - frame + n_frames,
            2 + dy : 2 + dy + height,
            2 + dx : 2 + dx + width,
        ]

    def clipped(values: np.ndarray, most: int) -> np.ndarray:
        return np.clip(values, -most, most) + most

    def size(values: np.ndarray) -> np.ndarray:
        return np.digitize(values, _EDGES)

    left, up, before = at(0, -1), at(-1, 0), at(0, 0, frame=1)
    sides = 2 * (abs(left) + abs(up)) + abs(at(-1, -1)) + abs(at(-1, 1))
    space = sides + abs(at(0, -2)) + abs(at(-2, 0))
    none = np.zeros_like(codes)
    cross = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    time = sum((abs(at(dy, dx, frame=1)) for dy, dx in cross), none)
    # Here, in the maps before.
    earlier: np.ndarray = np.cumsum(abs(codes), axis=0) - abs(codes)
    nonzero = np.cumsum(codes != 0, axis=0) - (codes != 0)
    maps = sum((abs(at(*d, map_=m)) for d in cross for m in (1, 2, 3)), none)
    guess = clipped(np.rint(2 * _predicted(codes, at)).astype(int), 12)
    y, x = np.mgrid[:height, :width]
    parity, place = (y % 2) * 2 + x % 2, y * width + x
    sign = clipped(left + up, 1)
    near = [clipped(v, m) for v, m in ((at(-1, -1), 2), (at(-1, 1), 2), (left, 2))]
    far = size(space + 2 * abs(before) + time)
    keys = [
        [(size(sides), 15), (size(2 * abs(before) + time), 15), (sign, 3)],
        [(clipped(left, 4), 9), (clipped(up, 4), 9), (near[0], 5), (near[1], 5)],
        [(clipped(before, 4), 9), (size(time), 15), (parity, 4), (sign, 3)],
        [(parity, 4), (clipped(left, 7), 15), (clipped(up, 7), 15)],
        [*((clipped(at(0, 0, map_=m), 3), 7) for m in (1, 2, 3)), (size(sides), 15)],
        [(size(earlier), 15), (nonzero, 9), (size(space), 15), (size(maps), 15)],
        [(guess, 25), (size(space), 15)],
        [(place, height * width), (sign, 3)],
        [(guess, 25), (clipped(before, 2), 5), (near[2], 5), (clipped(up, 2), 5)],
        [(size(earlier + maps), 15), (far, 15), (guess, 25)],
    ]
    found = np.empty((len(keys), *codes.shape), np.int32)
    for context, parts in zip(found, keys, strict=True):
        context[:] = 0
        for values, n in parts:
            context *= n
            context += values.astype(np.int32)
    return found


def _predicted(codes: np.ndarray, at) -> np.ndarray:
    """A linear guess from what was read before, fitted map by map."""
    places = [(dy, dx) for dy in (-2, -1, 0) for dx in range(-2, 3)][:12]
    square = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    shown = [at(*place) for place in places]
    shown += [at(*place, frame=1) for place in square]
    shown += [at(*place, map_=m) for place in square for m in (1, 2, 3)]
    guess = np.empty(codes.shape, np.float32)
    rows = np.random.default_rng(0).choice(codes[0].size, min(50_000, codes[0].size))
    for m in range(len(codes)):
        known = np.stack([values[m].ravel()[rows] for values in shown], 1).astype(float)
        known_by_known = known.T @ known + np.eye(len(shown))
        weights = np.linalg.solve(known_by_known, known.T @ codes[m].ravel()[rows])
        guess[m] = sum(w * v[m] for w, v in zip(weights, shown, strict=True))
    return guess


@numba.njit(cache=True)
def _coded_bits(codes: np.ndarray, contexts: np.ndarray) -> float:
    """Bits of codes int [N, M, H, W] given contexts int32 [C, N, M, H, W]."""
    n_frames, n_maps, height, width = codes.shape
    n = len(contexts)
    tables = np.zeros((n, 1 << _TABLE_BITS), np.float32)  # logits
    counts = np.zeros((n, 1 << _TABLE_BITS), np.uint8)
    weights = np.full((n_maps, 64, n), 0.3)
    places = np.empty(n, np.int64)
    logits = np.empty(n)
    answers = np.empty(64, np.int64)
    total = 0.0
    for f in range(n_frames):
        for m in range(n_maps):
            for y in range(height):
                for x in range(width):
                    n_answers = _questions(codes[f, m, y, x], answers)
                    for q in range(n_answers):
                        answer = answers[q] & 1
                        question = answers[q] >> 1
                        mix = weights[m, question % 64]
                        z = 0.0
                        for i in range(n):
                            key = (contexts[i, f, m, y, x] * 256 + question) * 16 + m
                            key *= 0x9E3779B1
                            places[i] = (key ^ (key >> 17)) & ((1 << _TABLE_BITS) - 1)
                            logits[i] = tables[i, places[i]]
                            z += mix[i] * logits[i]
                        yes = min(max(1 / (1 + np.exp(-z)), 1e-4), 1 - 1e-4)
                        total -= np.log2(yes if answer else 1 - yes)
                        for i in range(n):
                            mix[i] += _LEARNING * (answer - yes) * logits[i]
                            p, seen = 1 / (1 + np.exp(-logits[i])), counts[i, places[i]]
                            p += (answer - p) / (seen + 1.5)
                            p = min(max(p, 1e-4), 1 - 1e-4)
                            tables[i, places[i]] = np.log(p / (1 - p))
                            if seen < _PATIENCE:
                                counts[i, places[i]] = seen + 1
    return total


@numba.njit(cache=True)
def _questions(code: int, answers: np.ndarray) -> int:
    """Writes 2 * question + answer in turn, and returns how many there are."""
    size = abs(code)
    answers[0] = size != 0
    if size == 0:
        return 1
    answers[1] = 2 + (code < 0)
    n = 2
    for k in range(1, _UNARY + 1):
        answers[n] = 2 * (2 + k + 32 * (code < 0)) + (size > k)
        n += 1
        if size <= k:
            return n
    rest = size - _UNARY  # 1 or more: its length, then its bits (Elias)
    length = 0
    while rest >> (length + 1):
        length += 1
    for k in range(length + 1):
        answers[n] = 2 * (128 + k) + (k < length)
        n += 1
    for k in range(length - 1, -1, -1):
        answers[n] = 2 * (136 + 8 * length + k) + ((rest >> k) & 1)
        n += 1
    return n
