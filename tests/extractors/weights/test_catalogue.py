"""The models that can be installed."""

import pytest

from music_reclass.errors import ReclassError
from music_reclass.extractors.registry import EXTRACTORS
from music_reclass.extractors.weights import catalogue


@pytest.mark.parametrize("name", catalogue.MODELS)
def test_every_model_has_its_licence_text_source_and_kinds(name):
    model = catalogue.model(name)
    assert "https://" in model.licence_text
    assert all(file.url.startswith("https://") for file in model.files)
    assert set(model.kinds) <= EXTRACTORS.keys()
    assert model.size > 1_000_000


def test_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(ReclassError, match="did you mean 'musicnn'"):
        catalogue.model("musicn")
