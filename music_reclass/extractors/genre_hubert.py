"""DistilHuBERT taught GTZAN's ten genres: a second opinion in other words, good as evidence and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import ReclassError
from music_reclass.extractors import windows
from music_reclass.extractors.mert import standardised
from music_reclass.extractors.mert_checkpoint import transformers_package
from music_reclass.extractors.network import check_packages
from music_reclass.extractors.taggers import Design, Tagger, agreeing, labels, strictly
from music_reclass.extractors.weights import store
from music_reclass.utils.device import Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]
    Settings = Mapping[str, dict[str, Any]]

TITLE = "DistilHuBERT for genres (HuBERT-Genre-Clf)"
PREFIX = "gtzan---"
WINDOW = 30 * Tagger.rate  # the length of GTZAN's clips
SHORTEST = Tagger.rate // 5
MOST_WINDOWS = {"mid30": 1, "full": 3}
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
PUBLISHED = {
    "hidden_size": 768, "num_hidden_layers": 2, "num_attention_heads": 12, "intermediate_size": 3072,
    "feat_extract_norm": "group", "feat_proj_layer_norm": False, "do_stable_layer_norm": False, "conv_bias": False,
    "conv_dim": [512] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "feat_extract_activation": "gelu", "hidden_act": "gelu", "layer_norm_eps": 1e-5, "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16, "classifier_proj_size": 256, "use_weighted_layer_sum": False,
}  # fmt: skip
_POSITION = "hubert.encoder.pos_conv_embed.conv."
# The position convolution is weight-normalised; torch renamed its two parts.
_RENAMED = {
    f"{_POSITION}weight_g": f"{_POSITION}parametrizations.weight.original0",
    f"{_POSITION}weight_v": f"{_POSITION}parametrizations.weight.original1",
}
_TRAINING_ONLY = "hubert.masked_spec_embed"


def canonical(tensors: Tensors, settings: Settings) -> tuple[Tensors, Settings]:
    """Float32 tensors under today's names, and the settings; ReclassError if this is another classifier."""
    config = settings.get("config.json") or {
        **PUBLISHED,
        "id2label": dict(zip(map(str, range(10)), GENRES, strict=True)),
    }
    agreeing(config, PUBLISHED, TITLE)
    agreeing(settings.get("preprocessor_config.json", {}), {"sampling_rate": Tagger.rate, "do_normalize": True}, TITLE)
    if labels(config) != GENRES:
        raise ReclassError("the config.json does not name GTZAN's ten genres in their order.")
    if "classifier.weight" not in tensors:
        raise ReclassError("this file is no classifier in transformers' layout; use its model.safetensors.")
    kept = {_RENAMED.get(name, name): tensor for name, tensor in tensors.items() if name != _TRAINING_ONLY}
    return {name: tensor.astype("<f4", copy=False) for name, tensor in kept.items()}, {
        **settings,
        "config.json": config,
    }


def build(tensors: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> Any:
    """transformers' HubertForSequenceClassification with exactly these tensors; ReclassError for any other set."""
    transformers = transformers_package()
    shape = {key: config.get(key, value) for key, value in PUBLISHED.items()}
    model = transformers.HubertForSequenceClassification(
        transformers.HubertConfig(
            **shape, num_labels=len(config["id2label"]), mask_time_prob=0.0, mask_feature_prob=0.0
        )
    )
    wanted = model.state_dict().keys()
    old = {new: old for old, new in _RENAMED.items()}
    return strictly(model, {n if n in wanted else old.get(n, n): t for n, t in tensors.items()}, TITLE)


def probabilities(model: Any, waves: Any) -> Any:
    """One of ten genres (a softmax), float32 (n, 10), of waves (n, samples)."""
    return model(waves).logits.float().softmax(dim=-1)


def waves(samples: NDArray[np.float32], excerpt: str) -> NDArray[np.float32]:
    """Up to half a minute, (1, n), or three of a whole file, silent ones left out; mean 0 and variance 1 each."""
    length = min(WINDOW, max(SHORTEST, len(samples)))
    return standardised(windows.audible(windows.spread(samples, length, MOST_WINDOWS[excerpt])))


DESIGN = Design("distilhubert-genre", "1", waves, build, probabilities, window_bytes=480e6, prefix=PREFIX)


def genre_hubert(excerpt: str, placement: Placement | None = None) -> Tagger:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch", "transformers")
    return Tagger(DESIGN, excerpt, store.needed("hubert"), placement or Placement.from_environment())
