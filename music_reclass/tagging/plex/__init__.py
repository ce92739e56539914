"""Plex as a target: the decisions go into a music library on a server, verified, journalled, and can be taken back."""
