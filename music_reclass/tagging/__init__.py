"""Where genres are read, written, verified and taken back."""
