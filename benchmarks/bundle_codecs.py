"""Bits that a number of attribution takes by codec, and how few its neighbours allow.

    python -m benchmarks.bundle_codecs --page=outputs/interface

On the first frames of each layer of a bundle: gzip, the lossless WebP in use, and the
entropy of a number alone and given the sizes of its neighbours in space, in the frame
before and in the map before (measured on the same numbers, so a little too low). Writes
benchmarks/results/bundle_codecs.json.
"""

import argparse

import numpy as np

from benchmarks.measuring import print_table, write_result
from lucid_rl.interface import read_bundle
from lucid_rl.interface.encoding import encode_array

_N_FRAMES = 64
_EDGES = (1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30, 45, 70, 120)


def entropy(codes: np.ndarray, contexts: np.ndarray) -> float:
    """Bits of a number given its context."""
    pairs = contexts.ravel() * 256 + (codes.ravel().astype(int) + 128)
    counts = np.bincount(pairs, minlength=256 * (int(contexts.max()) + 1))
    table = counts.reshape(-1, 256).astype(float)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    logs = np.log2(np.where(shares > 0, shares, 1))
    return float(-(table * logs).sum() / codes.size)


def neighbours(codes: np.ndarray) -> np.ndarray:
    """A context for each number of codes [M, N, H, W], from those read before it."""
    sizes = np.pad(np.abs(codes.astype(int)), ((1, 0), (1, 0), (1, 0), (1, 1)))
    here = sizes[1:, 1:]
    left, up = here[:, :, 1:, :-2], here[:, :, :-1, 1:-1]
    corners = here[:, :, :-1, :-2] + here[:, :, :-1, 2:]
    space = np.digitize(2 * left + 2 * up + corners, _EDGES)
    before = np.digitize(sizes[1:, :-1, 1:, 1:-1], (1, 2, 4, 9))
    map_before = np.digitize(sizes[:-1, 1:, 1:, 1:-1], (1, 3))
    maps = np.arange(len(codes))[:, None, None, None]
    return ((maps * 16 + space) * 5 + before) * 3 + map_before


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--page", default="outputs/interface")
    bundle = read_bundle(parser.parse_args().page)
    layers = {}
    for layer in bundle.layers():
        part = bundle.part(f"model/{layer}")
        codes = part.array("attribution", 0)[:, :_N_FRAMES]
        bits = 8 / codes.size
        layers[layer] = {
            "gzip": bits * len(encode_array(codes, "gzip")[1]),
            "webp": bits * len(encode_array(codes, "webp")[1]),
            "alone": entropy(codes, np.zeros(codes.shape, int)),
            "given neighbours": entropy(codes, neighbours(codes)),
        }
    rows = [[layer, *found.values()] for layer, found in layers.items()]
    print_table(["bits a number", *next(iter(layers.values()))], rows)
    write_result("bundle_codecs", {"frames": _N_FRAMES, "layers": layers})


if __name__ == "__main__":
    main()
