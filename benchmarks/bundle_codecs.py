"""What attributions take by codec and levels, and what a better coder would save.

    python -m benchmarks.bundle_codecs --page=outputs/interface

On one entry of each layer of a bundle (256 frames of the default run): gzip, the
lossless WebP in use, the entropy of a number alone, and an adaptive coder of mixed
contexts (`benchmarks.context_mixing`). Then the megabytes of each layer at fewer
levels, its attributions coded anew. Writes benchmarks/results/bundle_codecs.json.
"""

import argparse

import numpy as np

from benchmarks.context_mixing import bits_per_number
from benchmarks.measuring import print_table, write_result
from lucid_rl.interface import read_bundle
from lucid_rl.interface.encoding import encode_array, encode_text
from lucid_rl.interface.parts import Part
from lucid_rl.interface.quantization import dequantize, quantize

_LEVELS = (255, 127, 63, 31)


def entropy(codes: np.ndarray) -> float:
    """Bits of a number by itself; the best fixed code for each map [M, …]."""
    bits = 0.0
    for values in codes:
        counts = np.unique(values, return_counts=True)[1]
        bits -= (counts * np.log2(counts / values.size)).sum()
    return float(bits / codes.size)


def _entries(part: Part) -> list[dict]:
    """The pieces in which a layer's attributions are coded."""
    return [e for e in part.entries if e["name"].startswith("attribution#")]


def _piece(part: Part, nth: int) -> np.ndarray:
    """The codes of one piece, i8 [maps, frames, H, W]."""
    lengths = [entry["shape"][1] for entry in _entries(part)]
    start = sum(lengths[:nth])
    return part.array("attribution", start, start + lengths[nth])


def measure(part: Part) -> dict[str, float]:
    """Bits a number, and the megabytes of a layer now and with mixed contexts."""
    entries = _entries(part)
    piece = len(entries) // 3
    codes = _piece(part, piece)
    webp = 8 * entries[piece]["length"] / codes.size
    mixed = bits_per_number(codes)
    megabytes = sum(entry["length"] for entry in entries) / 1e6
    return {
        "gzip": 8 * len(encode_array(codes, "gzip")[1]) / codes.size,
        "webp": webp,
        "alone": entropy(codes),
        "mixed contexts": mixed,
        "MB": megabytes,
        "MB, mixed contexts": megabytes * mixed / webp,
    }


def megabytes_at(part: Part, levels: int) -> float:
    """Megabytes of a layer's attributions at so many levels."""
    size = 0
    for piece in range(len(_entries(part))):
        codes = _piece(part, piece)
        scales = np.ones(codes.shape[1], np.float32)
        coarse = quantize(dequantize(codes, scales), scales, levels)
        size += len(encode_array(coarse, "webp")[1])
    return size / 1e6


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--page", default="outputs/interface")
    bundle = read_bundle(parser.parse_args().page)
    layers = {id_: measure(bundle.part(f"model/{id_}")) for id_ in bundle.layers()}
    data = bundle.part(f"model/{bundle.layers()[-1]}").data
    text = len(encode_text(data, "windows-1252")) / len(data)
    rows = [[layer, *found.values()] for layer, found in layers.items()]
    print_table(["bits a number", *next(iter(layers.values()))], rows)
    total, mixed = (
        sum(found[kind] for found in layers.values())
        for kind in ("MB", "MB, mixed contexts")
    )
    print(f"attributions {total:.1f} MB, with mixed contexts {mixed:.1f} MB")
    print(f"as text {100 * (text - 1):.1f} % larger")
    levels = {
        layer: {f"{n}": megabytes_at(bundle.part(f"model/{layer}"), n) for n in _LEVELS}
        for layer in layers
    }
    rows = [[layer, *found.values()] for layer, found in levels.items()]
    print_table(["MB at levels", *map(str, _LEVELS)], rows)
    result = {
        "layers": layers,
        "text": text,
        "MB": total,
        "MB, mixed contexts": mixed,
        "MB at levels": levels,
    }
    write_result("bundle_codecs", result)


if __name__ == "__main__":
    main()
