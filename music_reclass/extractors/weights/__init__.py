"""Pretrained weights: the catalogue, the store, installation, and checkpoint reading without pickle."""
