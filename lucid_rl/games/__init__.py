"""Games behind one vector protocol; nothing here knows TensorFlow."""
