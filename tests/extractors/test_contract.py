"""Every extractor that needs no downloaded weights keeps the contract, over both excerpts."""

from __future__ import annotations

import pytest

from music_reclass.domain import Extractor
from music_reclass.extractors.registry import EXCERPTS, extractor
from tests.extractors.contract import ExtractorContract


@pytest.mark.parametrize("excerpt", EXCERPTS)
class TestFma518(ExtractorContract):
    @pytest.fixture
    def extractor(self, excerpt: str) -> Extractor:
        return extractor("fma518", excerpt)
