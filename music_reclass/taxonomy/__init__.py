"""What a genre name means: the tree of genres, other spellings, junk, and how two genres relate."""

from music_reclass.taxonomy.auditing import AuditRow, audit
from music_reclass.taxonomy.reading import load
from music_reclass.taxonomy.tree import Taxonomy

__all__ = ["AuditRow", "Taxonomy", "audit", "load"]
