"""Games behind one vector protocol; nothing here imports TensorFlow."""
