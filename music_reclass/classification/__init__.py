"""From vectors to genres: the cascade of stages, album votes, decisions, scans, and exit rules of a library."""
