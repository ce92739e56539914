"""Hand-made stand-ins for what lies outside the program."""
