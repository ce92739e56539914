"""Explanations: why a track has its genre."""
