"""Data sets: one small module for each form in which people have labelled music, one shape for all of them."""
