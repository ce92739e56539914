"""Weights that others trained: what there is, where it lies, and how it gets there without ever running a pickle."""
