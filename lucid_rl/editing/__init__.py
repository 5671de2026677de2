"""Editing of weights that removes features from a layer's activations."""
