"""What a genre name means: the tree of genres, other spellings, junk, and how two genres relate."""

from music_reclass.taxonomy.load import load
from music_reclass.taxonomy.tree import AuditRow, Taxonomy, audit

__all__ = ["AuditRow", "Taxonomy", "audit", "load"]
