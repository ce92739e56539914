"""The Audio Spectrogram Transformer (AST): which of AudioSet's 527 sounds are heard, instruments among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import ReclassError
from music_reclass.extractors import ast_mel, windows
from music_reclass.extractors.mert_checkpoint import transformers_package
from music_reclass.extractors.network import check_packages
from music_reclass.extractors.taggers import Design, Tagger, agreeing, labels, strictly
from music_reclass.extractors.weights import store
from music_reclass.utils.device import Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]
    Settings = Mapping[str, dict[str, Any]]

TITLE = "AST (ast-finetuned-audioset-10-10-0.4593)"
MOST_WINDOWS = {"mid30": 3, "full": 6}  # of ten seconds
TAGS = 527
PUBLISHED = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "patch_size": 16, "qkv_bias": True, "frequency_stride": 10, "time_stride": 10, "max_length": ast_mel.FRAMES,
    "num_mel_bins": ast_mel.MELS, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
}  # fmt: skip
_PREPROCESSOR = {"sampling_rate": ast_mel.RATE, "num_mel_bins": ast_mel.MELS, "max_length": ast_mel.FRAMES}
_KNOWN = {0: "Speech", 137: "Music"}  # two of AudioSet's class_labels_indices.csv: names in another order are no use
# transformers 5 renamed the parts of a layer; a published file has the old names. In this order, and back in reverse.
_RENAMED = (
    ("audio_spectrogram_transformer.encoder.layer.", "audio_spectrogram_transformer.layers."),
    (".attention.attention.query.", ".attention.q_proj."),
    (".attention.attention.key.", ".attention.k_proj."),
    (".attention.attention.value.", ".attention.v_proj."),
    (".attention.output.dense.", ".attention.o_proj."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
)


def canonical(tensors: Tensors, settings: Settings) -> tuple[Tensors, Settings]:
    """Float32 tensors under their published names, and the settings; ReclassError if this is not the published AST.

    The names of the tags are in config.json and nowhere else, so it must lie beside the weights.
    """
    config = settings.get("config.json")
    if config is None:
        raise ReclassError("the names of AST's tags are in its config.json; put that file beside the weights.")
    agreeing(config, PUBLISHED, TITLE)
    agreeing(settings.get("preprocessor_config.json", {}), _PREPROCESSOR, TITLE)
    names = labels(config)
    if len(names) != TAGS or any(names[number] != name for number, name in _KNOWN.items()):
        raise ReclassError(f"the config.json does not name AudioSet's {TAGS} classes in their order.")
    if "classifier.dense.weight" not in tensors:
        raise ReclassError("this file is no AST in transformers' layout; use the model.safetensors of the model page.")
    return {published_name(name): tensor.astype("<f4", copy=False) for name, tensor in tensors.items()}, settings


def published_name(name: str) -> str:
    """The name of a tensor in a published file."""
    for old, new in reversed(_RENAMED):
        name = name.replace(new, old)
    return name


def _new_name(name: str) -> str:
    for old, new in _RENAMED:
        name = name.replace(old, new)
    return name


def build(tensors: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> Any:
    """transformers' ASTForAudioClassification with exactly these tensors; ReclassError for a missing or extra one."""
    transformers = transformers_package()
    shape = {key: config.get(key, value) for key, value in PUBLISHED.items()}
    model = transformers.ASTForAudioClassification(transformers.ASTConfig(**shape, num_labels=len(config["id2label"])))
    wanted = model.state_dict().keys()
    return strictly(model, {n if n in wanted else _new_name(n): t for n, t in tensors.items()}, TITLE)


def strengths(model: Any, pictures: Any) -> Any:
    """Each tag by itself (a sigmoid), float32 (n, tags) in [0, 1], of pictures (n, 1024, 128)."""
    return model(pictures).logits.float().sigmoid()


def pictures(samples: NDArray[np.float32], excerpt: str) -> NDArray[np.float32]:
    """Mel pictures (n, 1024, 128) of up to three windows of ten seconds, six of a whole file; silent ones left out."""
    cut = windows.audible(windows.spread(samples, ast_mel.SAMPLES, MOST_WINDOWS[excerpt]))
    return np.stack([ast_mel.picture(window) for window in cut])


DESIGN = Design("ast-tags", "1", pictures, build, strengths, window_bytes=60e6)


def ast_tags(excerpt: str, placement: Placement | None = None) -> Tagger:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch", "transformers")
    return Tagger(DESIGN, excerpt, store.needed("ast"), placement or Placement.from_environment())
