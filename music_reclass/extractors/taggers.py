"""Taggers as extractors: AST (AudioSet's 527 tags), MAEST (Discogs' 400 styles), DistilHuBERT (GTZAN's ten genres)."""

from __future__ import annotations

import unicodedata
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import ReclassError
from music_reclass.extractors import hubert, windows
from music_reclass.extractors.batching import Slope
from music_reclass.extractors.discogs import style_names
from music_reclass.extractors.efficientat import TAGS, audioset_labels
from music_reclass.extractors.mel import AST, AST_SAMPLES, MAEST, MAEST_SAMPLES, ast_input, maest_input
from music_reclass.extractors.mert import standardised
from music_reclass.extractors.network import (
    Blueprint,
    Network,
    NetworkExtractor,
    check_packages,
    slopes_file,
)
from music_reclass.extractors.transformer import (
    PATCH,
    in_format,
    joined,
    load_exactly,
    renamer,
    vision_transformer,
    without_memory,
)
from music_reclass.extractors.weights.checkpoint import read_safetensors
from music_reclass.extractors.weights.store import Installed, needed, read_json
from music_reclass.utils.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.extractors.device import Placement

    Config = Mapping[str, Any]
    Tensors = dict[str, NDArray[Any]]
    Settings = Mapping[str, dict[str, Any]]


class Tagger(NetworkExtractor):
    """The extractor of a kind whose numbers are strengths of `names`, in their order; mono float32 at 16 kHz.

    `version` is bumped with every change that moves the numbers.
    """

    rate = 16000
    kind_name: str
    version: str
    window_bytes: float  # memory that a window takes in float32, half of it in a short format (measured)
    prefix = ""  # in front of every tag's name, where the names alone would be mistaken for another tagger's

    def __init__(self, excerpt: str, installed: Installed, placement: Placement) -> None:
        self.names = tag_names(installed, self.prefix)
        version = f"{self.version}-{installed.short_digest}"
        self.kind = FeatureKind(self.kind_name, version, len(self.names), excerpt)
        self._installed = installed
        name, slope = f"{self.kind_name}-{version}", Slope(0, self.window_bytes)
        weights = installed.weights.stat().st_size
        blueprint = Blueprint(name, self._load, self.forward, slope, slopes_file(installed), weights=weights)
        self.network = Network(blueprint, placement)

    def _load(self, precision: str) -> Any:
        return self.build(read_safetensors(self._installed.weights), _config(self._installed), precision)

    @staticmethod
    @abstractmethod
    def build(tensors: Mapping[str, NDArray[Any]], config: Config, precision: str) -> Any:
        """The torch module with exactly these tensors, of the sizes in config.json; ReclassError for any other set."""

    @staticmethod
    @abstractmethod
    def forward(model: Any, batch: Any) -> Any:
        """The strengths of a batch of windows, float32 (n, tags) in [0, 1]."""


def tag_names(installed: Installed, prefix: str = "") -> tuple[str, ...]:
    """The tags of an installed tagger in the order of its outputs; ReclassError where its config.json is lost."""
    return tuple(prefix + name for name in labels(_config(installed)))


def labels(config: Config) -> tuple[str, ...]:
    """The names that a config.json gives to the outputs, in their order; ReclassError unless all have one."""
    named = config.get("id2label")
    if not isinstance(named, Mapping) or set(named) != {str(number) for number in range(len(named))}:
        raise ReclassError("This config.json does not name the outputs (id2label); take the one of the model page.")
    return tuple(str(named[str(number)]) for number in range(len(named)))


def check_settings(config: Config, published: Config, title: str) -> None:
    """ReclassError unless every setting that `config` names has its published value."""
    for key, value in published.items():
        if config.get(key, value) != value:
            raise ReclassError(f"This is another model than {title}: its {key} is {config[key]}, not {value}.")


def _config(installed: Installed) -> dict[str, Any]:
    config = read_json(installed.folder / "config.json")
    if config is None:
        raise ReclassError(f"{installed.folder} has lost its config.json; install the model again.")
    return config


AST_TITLE = "AST (ast-finetuned-audioset-10-10-0.4593)"
AST_MOST_WINDOWS = {"mid30": 3, "full": 6}  # of ten seconds
AST_PUBLISHED = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "patch_size": 16, "qkv_bias": True, "frequency_stride": 10, "time_stride": 10, "max_length": AST.frames,
    "num_mel_bins": AST.mels, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
}  # fmt: skip
_PREPROCESSOR = {"sampling_rate": AST.rate, "num_mel_bins": AST.mels, "max_length": AST.frames}
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


def canonical_ast(tensors: Tensors, settings: Settings) -> tuple[Tensors, Settings]:
    """Float32 tensors under their published names, and the settings; ReclassError if this is not the published AST.

    Without its config.json the published settings and AudioSet's own class list are used.
    """
    config = settings.get("config.json")
    if config is None:
        config = {**AST_PUBLISHED, "id2label": dict(zip(map(str, range(TAGS)), audioset_labels(), strict=True))}
    check_settings(config, AST_PUBLISHED, AST_TITLE)
    check_settings(settings.get("preprocessor_config.json", {}), _PREPROCESSOR, AST_TITLE)
    names = labels(config)
    # Two names tell the order; the spelling of others may differ from the class list's.
    if len(names) != TAGS or any(names[number] != audioset_labels()[number] for number in (0, 137)):
        raise ReclassError(f"The config.json does not name AudioSet's {TAGS} classes in their order.")
    if "classifier.dense.weight" not in tensors:
        raise ReclassError("This file is no AST in transformers' layout; use the model.safetensors of the model page.")
    return {ast_published_name(name): tensor.astype("<f4", copy=False) for name, tensor in tensors.items()}, {
        **settings,
        "config.json": config,
    }


def ast_published_name(name: str) -> str:
    """The name of a tensor in a published file."""
    for old, new in reversed(_RENAMED):
        name = name.replace(new, old)
    return name


class AstTagger(Tagger):
    """AST (ast-finetuned-audioset-10-10-0.4593): AudioSet's 527 tags, each by itself."""

    kind_name, version, window_bytes = "ast-tags", "2", 41e6  # 2: clips of 29.98 s have three windows

    def cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mels (n, 1024, 128) of up to three windows of 10 s, six of a whole file; silent ones left out.

        Where less than a second is wanting for one more, they overlap by it.
        """
        most = windows.most_in(self.kind.excerpt, AST_MOST_WINDOWS)
        parts = windows.audible(windows.spread(samples, AST_SAMPLES, most, short=self.rate - 1))
        return np.stack([ast_input(part) for part in parts])

    @staticmethod
    def build(tensors: Mapping[str, NDArray[Any]], config: Config, precision: str) -> Any:
        """An audio spectrogram transformer (arXiv 2104.01778)."""
        return _ast(tensors, {**AST_PUBLISHED, **config}, precision, AST_TITLE)

    @staticmethod
    def forward(model: Any, batch: Any) -> Any:
        """The sigmoid of each tag, float32 (n, tags), of log-mels (n, 1024, 128)."""
        return _ast_scores(model, batch).sigmoid()


_AST = "audio_spectrogram_transformer."
_OURS = renamer(
    (
        (f"{_AST}encoder.layer.", "layers."),
        (f"{_AST}embeddings.patch_embeddings.", "patch_embed."),
        (f"{_AST}embeddings.position_embeddings", "pos_embed"),
        (f"{_AST}embeddings.cls_token", "cls_token#0"),
        (f"{_AST}embeddings.distillation_token", "cls_token#1"),
        (f"{_AST}layernorm.", "ln1."),
        (".attention.output.dense.", ".attn.proj."),
        (".intermediate.dense.", ".ffn.layers.0.0."),
        (".output.dense.", ".ffn.layers.1."),
        (".layernorm_before.", ".ln1."),
        (".layernorm_after.", ".ln2."),
        ("classifier.layernorm.", "head.0."),
        ("classifier.dense.", "head.1."),
        *(
            (f".attention.attention.{name}.{part}", f".attn.qkv.{part}#{number}")
            for number, name in enumerate(("query", "key", "value"))
            for part in ("weight", "bias")
        ),
    )
)


def _ast(tensors: Mapping[str, NDArray[Any]], config: Config, precision: str, title: str) -> Any:
    """The transformer of the sizes in `config` and its head (in float32), with exactly these tensors."""
    width, stride, epsilon = config["hidden_size"], config["time_stride"], config["layer_norm_eps"]
    patches = [(config[size] - PATCH) // stride + 1 for size in ("num_mel_bins", "max_length")]

    def made() -> Any:
        nn = require("torch", "neural").nn
        model = vision_transformer(
            width=width,
            depth=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            hidden=config["intermediate_size"],
            tokens=2 + patches[0] * patches[1],
            stride=stride,
            summaries=2,
            epsilon=epsilon,
        )
        in_format(model, precision)
        model.head = nn.Sequential(nn.LayerNorm(width, eps=epsilon), nn.Linear(width, len(config["id2label"])))
        return model

    return load_exactly(without_memory(made), joined(tensors, lambda name: _OURS(ast_published_name(name))), title)


def _ast_scores(model: Any, mels: Any) -> Any:
    """The scores before the sigmoid, float32 (n, outputs), of log-mels (n, frames, mels)."""
    return model.head(model(mels.unsqueeze(1).transpose(2, 3))[:, :2].float().mean(dim=1))


def ast_tags(excerpt: str, placement: Placement) -> AstTagger:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch")
    return AstTagger(excerpt, needed("ast"), placement)


MAEST_TITLE = "MAEST (discogs-maest-30s-pw-73e-ts)"
MAEST_MOST_WINDOWS = {"mid30": 1, "full": 6}  # of half a minute
MAEST_PUBLISHED = AST_PUBLISHED | {"max_length": MAEST.frames, "num_mel_bins": MAEST.mels, "layer_norm_eps": 1e-6}
_MAEST_PREPROCESSOR = {
    "sampling_rate": MAEST.rate, "n_fft": MAEST.fft, "hop_length": MAEST.hop, "num_mel_bins": MAEST.mels,
    "max_length": MAEST.frames, "mean": MAEST.mean, "std": MAEST.spread / 2, "log_compression": "logC",
}  # fmt: skip


def canonical_maest(tensors: Tensors, settings: Settings) -> tuple[Tensors, Settings]:
    """Float32 tensors under their published names, and the settings; ReclassError if this is no MAEST of 400 styles."""
    outputs = {str(number): name for number, name in enumerate(style_names())}
    config = settings.get("config.json") or {**MAEST_PUBLISHED, "id2label": outputs}
    check_settings(config, MAEST_PUBLISHED, MAEST_TITLE)
    check_settings(settings.get("preprocessor_config.json", {}), _MAEST_PREPROCESSOR, MAEST_TITLE)
    if tuple(unicodedata.normalize("NFC", name) for name in labels(config)) != style_names():
        raise ReclassError("The config.json does not name Discogs' 400 styles in their order; another MAEST has 519.")
    if "classifier.dense.weight" not in tensors:
        raise ReclassError(
            "This file is no MAEST in transformers' layout; use the model.safetensors of the model page."
        )
    kept = {ast_published_name(name): tensor.astype("<f4", copy=False) for name, tensor in tensors.items()}
    return kept, {**settings, "config.json": {**config, "id2label": outputs}}


class MaestTagger(Tagger):
    """MAEST (discogs-maest-30s-pw-73e-ts): an AST over half a minute that names Discogs' 400 styles."""

    kind_name, version, window_bytes = "maest-styles", "1", 57e6

    def cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mels (n, 1876, 96) of half a minute, or six halves of a whole file; silent ones left out."""
        parts = windows.audible(
            windows.spread(samples, MAEST_SAMPLES, windows.most_in(self.kind.excerpt, MAEST_MOST_WINDOWS))
        )
        return np.stack([maest_input(part) for part in parts])

    @staticmethod
    def build(tensors: Mapping[str, NDArray[Any]], config: Config, precision: str) -> Any:
        """An audio spectrogram transformer of longer windows (arXiv 2309.16418)."""
        return _ast(tensors, {**MAEST_PUBLISHED, **config}, precision, MAEST_TITLE)

    @staticmethod
    def forward(model: Any, batch: Any) -> Any:
        """The sigmoid of each style, float32 (n, 400), of log-mels (n, 1876, 96)."""
        return _ast_scores(model, batch).sigmoid()


def maest_styles(excerpt: str, placement: Placement) -> MaestTagger:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch")
    return MaestTagger(excerpt, needed("maest"), placement)


HUBERT_TITLE = "DistilHuBERT for genres (HuBERT-Genre-Clf)"
HUBERT_PREFIX = "gtzan---"
HUBERT_WINDOW = 30 * Tagger.rate  # the length of GTZAN's clips
HUBERT_SHORTEST = Tagger.rate // 5
HUBERT_MOST_WINDOWS = {"mid30": 1, "full": 3}
HUBERT_GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
HUBERT_PUBLISHED = {
    "hidden_size": 768, "num_hidden_layers": 2, "num_attention_heads": 12, "intermediate_size": 3072,
    "feat_extract_norm": "group", "feat_proj_layer_norm": False, "do_stable_layer_norm": False, "conv_bias": False,
    "conv_dim": [512] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "feat_extract_activation": "gelu", "hidden_act": "gelu", "layer_norm_eps": 1e-5, "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16, "classifier_proj_size": 256, "use_weighted_layer_sum": False,
}  # fmt: skip
_POSITION = "hubert.encoder.pos_conv_embed.conv."
# The position convolution is weight-normalised; torch renamed its two parts.
_HUBERT_RENAMED = {
    f"{_POSITION}weight_g": f"{_POSITION}parametrizations.weight.original0",
    f"{_POSITION}weight_v": f"{_POSITION}parametrizations.weight.original1",
}
_TRAINING_ONLY = "hubert.masked_spec_embed"


def canonical_hubert(tensors: Tensors, settings: Settings) -> tuple[Tensors, Settings]:
    """Float32 tensors under today's names, and the settings; ReclassError if this is another classifier."""
    config = settings.get("config.json") or {
        **HUBERT_PUBLISHED,
        "id2label": dict(zip(map(str, range(10)), HUBERT_GENRES, strict=True)),
    }
    check_settings(config, HUBERT_PUBLISHED, HUBERT_TITLE)
    check_settings(
        settings.get("preprocessor_config.json", {}), {"sampling_rate": Tagger.rate, "do_normalize": True}, HUBERT_TITLE
    )
    if labels(config) != HUBERT_GENRES:
        raise ReclassError("The config.json does not name GTZAN's ten genres in their order.")
    if "classifier.weight" not in tensors:
        raise ReclassError("This file is no classifier in transformers' layout; use its model.safetensors.")
    kept = {_HUBERT_RENAMED.get(name, name): tensor for name, tensor in tensors.items() if name != _TRAINING_ONLY}
    return {name: tensor.astype("<f4", copy=False) for name, tensor in kept.items()}, {
        **settings,
        "config.json": config,
    }


class GenreHubert(Tagger):
    """DistilHuBERT for genres (HuBERT-Genre-Clf): one of GTZAN's ten."""

    kind_name, version, window_bytes, prefix = "distilhubert-genre", "1", 46e6, HUBERT_PREFIX

    def cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Up to half a minute, (1, n), or three of a whole file, silent ones left out; mean 0 and variance 1 each."""
        length = min(HUBERT_WINDOW, max(HUBERT_SHORTEST, len(samples)))
        return standardised(
            windows.audible(windows.spread(samples, length, windows.most_in(self.kind.excerpt, HUBERT_MOST_WINDOWS)))
        )

    @staticmethod
    def build(tensors: Mapping[str, NDArray[Any]], config: Config, precision: str) -> Any:
        """DistilHuBERT and its head (in float32) over the mean of its last layer."""
        shape = {key: config.get(key, value) for key, value in HUBERT_PUBLISHED.items()}
        layers = (shape["num_hidden_layers"],)

        def made() -> Any:
            nn = require("torch", "neural").nn
            model = hubert.hubert(shape, layers, precision)
            sizes = shape["hidden_size"], shape["classifier_proj_size"], len(config["id2label"])
            model.projector, model.classifier = nn.Linear(*sizes[:2]), nn.Linear(*sizes[1:])
            return model

        return load_exactly(without_memory(made), hubert.named(tensors, shape, layers), HUBERT_TITLE)

    @staticmethod
    def forward(model: Any, batch: Any) -> Any:
        """The softmax over ten genres, float32 (n, 10), of waves (n, samples)."""
        return model.classifier(model.projector(model(batch)[:, 0])).softmax(dim=-1)


def genre_hubert(excerpt: str, placement: Placement) -> GenreHubert:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch")
    return GenreHubert(excerpt, needed("hubert"), placement)
