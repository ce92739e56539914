"""Estimators: ways to learn genres from rows. Each gives a model that predicts with NumPy alone."""
