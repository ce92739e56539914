"""Tests of the weights of others."""
