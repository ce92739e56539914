"""Votes, the ladder, and the decision about each track."""
