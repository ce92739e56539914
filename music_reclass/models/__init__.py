"""Models: estimators, training data, calibration, metrics, exit rules and bundles; plain arrays in and out."""
