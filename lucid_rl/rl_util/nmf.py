"""The module `lucid.scratch.rl_util.nmf` by its name: `LayerNMF` and its helpers."""

from lucid_rl.rl_util.arrays import argmax_nd, rescale_opacity
from lucid_rl.rl_util.layer_nmf import LayerNMF

__all__ = ["LayerNMF", "argmax_nd", "rescale_opacity"]
