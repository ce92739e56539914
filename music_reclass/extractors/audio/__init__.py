"""Audio files as mono samples: decoding by libsndfile and PyAV, resampling, synthesis for tests."""
