"""Data sets, estimators, calibration, evaluation and the bundles they become."""
