import tensorflow.compat.v1 as tf

__all__ = ["tf"]
