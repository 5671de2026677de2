"""TensorFlow graphs over a checkpoint's parameters, and Lucid on current TensorFlow."""
