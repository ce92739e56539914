"""Audio in, vectors of one feature kind out."""
