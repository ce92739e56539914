"""Leaf tools that know none of the nouns beyond the domain."""
