"""Classifies the tracks of a music library by genre, tags them, and can restore every byte."""

__version__ = "0.1.0"
