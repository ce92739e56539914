"""Plex as a target: decisions go into a music library on a server, verified, logged, and can be restored."""
