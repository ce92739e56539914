"""Taggers built on transformers: AST (AudioSet's 527 tags) and DistilHuBERT (GTZAN's ten genres)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import ReclassError, SkipTrack
from music_reclass.extractors import mel as ast_mel
from music_reclass.extractors import windows
from music_reclass.extractors.batching import Slope
from music_reclass.extractors.device import Placement
from music_reclass.extractors.mert import standardised, transformers_package
from music_reclass.extractors.network import Blueprint, Network, check_packages, finite_row
from music_reclass.extractors.weights import checkpoint as safetensors
from music_reclass.extractors.weights import store
from music_reclass.utils.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Config = Mapping[str, Any]
    Tensors = dict[str, NDArray[Any]]
    Settings = Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Design:
    """What sets one tagger apart from another; `version` is bumped with every change that moves the numbers."""

    kind: str
    version: str
    cut: Callable[[NDArray[np.float32], str], NDArray[np.float32]]  # samples and excerpt to windows (n, ...)
    build: Callable[[Mapping[str, NDArray[Any]], Config], Any]  # tensors and config.json to a torch module
    forward: Callable[[Any, Any], Any]  # module and a batch of windows to float32 (n, tags) in [0, 1]
    window_bytes: float  # memory that a window takes in float32
    prefix: str = ""  # in front of every tag's name, where the names alone would be mistaken for another tagger's


class Tagger:
    """The extractor of a kind whose numbers are strengths of `names`, in their order; mono float32 at 16 kHz."""

    rate = 16000

    def __init__(self, design: Design, excerpt: str, installed: store.Installed, placement: Placement) -> None:
        self.names = tag_names(installed, design.prefix)
        self.kind = FeatureKind(design.kind, f"{design.version}-{installed.short_digest}", len(self.names), excerpt)
        self._design, self._installed = design, installed
        slopes = installed.folder.parent / "slopes.json"
        name = f"{design.kind}-{self.kind.version}"
        blueprint = Blueprint(name, self._build, design.forward, Slope(0, design.window_bytes), slopes)
        self.network = Network(blueprint, placement)

    def vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The strengths of `names`, (len(names),) float32 in [0, 1]; SkipTrack for no samples at all."""
        return self.pool(np.stack(list(self.network.map(self.windows(samples)))))

    def windows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network is given of one recording, (n, ...), n >= 1."""
        if not len(samples):
            raise SkipTrack("no_audio", "there is not a single sample to analyse")
        return self._design.cut(windows.finite(samples), self.kind.excerpt)

    def pool(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean over the windows; FailTrack if it is not finite."""
        return finite_row(rows.mean(axis=0).astype(np.float32))

    def parts(self, vector: NDArray[np.float32]) -> dict[FeatureKind, NDArray[np.float32]]:
        """The vector by its kind."""
        return {self.kind: vector}

    def _build(self) -> Any:
        return self._design.build(safetensors.read_safetensors(self._installed.weights), _config(self._installed))


def tag_names(installed: store.Installed, prefix: str = "") -> tuple[str, ...]:
    """The tags of an installed tagger in the order of its outputs; ReclassError where its config.json is lost."""
    return tuple(prefix + name for name in labels(_config(installed)))


def labels(config: Config) -> tuple[str, ...]:
    """The names that a config.json gives to the outputs, in their order; ReclassError unless all have one."""
    named = config.get("id2label")
    if not isinstance(named, Mapping) or set(named) != {str(number) for number in range(len(named))}:
        raise ReclassError("this config.json does not name the outputs (id2label); take the one of the model page.")
    return tuple(str(named[str(number)]) for number in range(len(named)))


def agreeing(config: Config, published: Config, title: str) -> None:
    """ReclassError unless every setting that `config` names has its published value."""
    for key, value in published.items():
        if config.get(key, value) != value:
            raise ReclassError(f"this is another model than {title}: its {key} is {config[key]}, not {value}.")


def strictly(model: Any, tensors: Mapping[str, NDArray[Any]], title: str) -> Any:
    """`model` in evaluation mode with exactly these tensors; ReclassError for a missing, extra or misshapen one."""
    torch = require("torch", "neural")
    try:
        model.load_state_dict({name: torch.tensor(tensor) for name, tensor in tensors.items()}, strict=True)
    except RuntimeError as error:
        line = str(error).split("\n")[1 if "\n" in str(error) else 0].strip()
        raise ReclassError(f"these weights do not fit {title} ({line}); install the model again.") from error
    return model.eval()


def _config(installed: store.Installed) -> dict[str, Any]:
    config = store.read_json(installed.folder / "config.json")
    if config is None:
        raise ReclassError(f"{installed.folder} has lost its config.json; install the model again.")
    return config


AST_TITLE = "AST (ast-finetuned-audioset-10-10-0.4593)"
AST_MOST_WINDOWS = {"mid30": 3, "full": 6}  # of ten seconds
AST_TAGS = 527
AST_PUBLISHED = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "patch_size": 16, "qkv_bias": True, "frequency_stride": 10, "time_stride": 10, "max_length": ast_mel.AST_FRAMES,
    "num_mel_bins": ast_mel.AST_MELS, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
}  # fmt: skip
_PREPROCESSOR = {"sampling_rate": ast_mel.AST_RATE, "num_mel_bins": ast_mel.AST_MELS, "max_length": ast_mel.AST_FRAMES}
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


def canonical_ast(tensors: Tensors, settings: Settings) -> tuple[Tensors, Settings]:
    """Float32 tensors under their published names, and the settings; ReclassError if this is not the published AST.

    The names of the tags are in config.json and nowhere else, so it must lie beside the weights.
    """
    config = settings.get("config.json")
    if config is None:
        raise ReclassError("the names of AST's tags are in its config.json; put that file beside the weights.")
    agreeing(config, AST_PUBLISHED, AST_TITLE)
    agreeing(settings.get("preprocessor_config.json", {}), _PREPROCESSOR, AST_TITLE)
    names = labels(config)
    if len(names) != AST_TAGS or any(names[number] != name for number, name in _KNOWN.items()):
        raise ReclassError(f"the config.json does not name AudioSet's {AST_TAGS} classes in their order.")
    if "classifier.dense.weight" not in tensors:
        raise ReclassError("this file is no AST in transformers' layout; use the model.safetensors of the model page.")
    return {ast_published_name(name): tensor.astype("<f4", copy=False) for name, tensor in tensors.items()}, settings


def ast_published_name(name: str) -> str:
    """The name of a tensor in a published file."""
    for old, new in reversed(_RENAMED):
        name = name.replace(new, old)
    return name


def _new_name(name: str) -> str:
    for old, new in _RENAMED:
        name = name.replace(old, new)
    return name


def build_ast(tensors: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> Any:
    """transformers' ASTForAudioClassification with exactly these tensors; ReclassError for a missing or extra one."""
    transformers = transformers_package()
    shape = {key: config.get(key, value) for key, value in AST_PUBLISHED.items()}
    model = transformers.ASTForAudioClassification(transformers.ASTConfig(**shape, num_labels=len(config["id2label"])))
    wanted = model.state_dict().keys()
    return strictly(model, {n if n in wanted else _new_name(n): t for n, t in tensors.items()}, AST_TITLE)


def ast_strengths(model: Any, pictures: Any) -> Any:
    """Each tag by itself (a sigmoid), float32 (n, tags) in [0, 1], of pictures (n, 1024, 128)."""
    return model(pictures).logits.float().sigmoid()


def ast_windows(samples: NDArray[np.float32], excerpt: str) -> NDArray[np.float32]:
    """Mel pictures (n, 1024, 128) of up to three windows of ten seconds, six of a whole file; silent ones left out."""
    cut = windows.audible(windows.spread(samples, ast_mel.AST_SAMPLES, AST_MOST_WINDOWS[excerpt]))
    return np.stack([ast_mel.ast_input(window) for window in cut])


AST_DESIGN = Design("ast-tags", "1", ast_windows, build_ast, ast_strengths, window_bytes=60e6)


def ast_tags(excerpt: str, placement: Placement | None = None) -> Tagger:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch", "transformers")
    return Tagger(AST_DESIGN, excerpt, store.needed("ast"), placement or Placement.from_environment())


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
_genre_hubert_RENAMED = {
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
    agreeing(config, HUBERT_PUBLISHED, HUBERT_TITLE)
    agreeing(
        settings.get("preprocessor_config.json", {}), {"sampling_rate": Tagger.rate, "do_normalize": True}, HUBERT_TITLE
    )
    if labels(config) != HUBERT_GENRES:
        raise ReclassError("the config.json does not name GTZAN's ten genres in their order.")
    if "classifier.weight" not in tensors:
        raise ReclassError("this file is no classifier in transformers' layout; use its model.safetensors.")
    kept = {_genre_hubert_RENAMED.get(name, name): tensor for name, tensor in tensors.items() if name != _TRAINING_ONLY}
    return {name: tensor.astype("<f4", copy=False) for name, tensor in kept.items()}, {
        **settings,
        "config.json": config,
    }


def build_hubert(tensors: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> Any:
    """transformers' HubertForSequenceClassification with exactly these tensors; ReclassError for any other set."""
    transformers = transformers_package()
    shape = {key: config.get(key, value) for key, value in HUBERT_PUBLISHED.items()}
    model = transformers.HubertForSequenceClassification(
        transformers.HubertConfig(
            **shape, num_labels=len(config["id2label"]), mask_time_prob=0.0, mask_feature_prob=0.0
        )
    )
    wanted = model.state_dict().keys()
    old = {new: old for old, new in _genre_hubert_RENAMED.items()}
    return strictly(model, {n if n in wanted else old.get(n, n): t for n, t in tensors.items()}, HUBERT_TITLE)


def hubert_probabilities(model: Any, waves: Any) -> Any:
    """One of ten genres (a softmax), float32 (n, 10), of waves (n, samples)."""
    return model(waves).logits.float().softmax(dim=-1)


def hubert_windows(samples: NDArray[np.float32], excerpt: str) -> NDArray[np.float32]:
    """Up to half a minute, (1, n), or three of a whole file, silent ones left out; mean 0 and variance 1 each."""
    length = min(HUBERT_WINDOW, max(HUBERT_SHORTEST, len(samples)))
    return standardised(windows.audible(windows.spread(samples, length, HUBERT_MOST_WINDOWS[excerpt])))


HUBERT_DESIGN = Design(
    "distilhubert-genre",
    "1",
    hubert_windows,
    build_hubert,
    hubert_probabilities,
    window_bytes=480e6,
    prefix=HUBERT_PREFIX,
)


def genre_hubert(excerpt: str, placement: Placement | None = None) -> Tagger:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch", "transformers")
    return Tagger(HUBERT_DESIGN, excerpt, store.needed("hubert"), placement or Placement.from_environment())
