"""Where genres are read, written, verified and restored."""
