"""Listens to a music library, decides each track's genre, tags it, and can take every byte back."""

__version__ = "0.1.0"
