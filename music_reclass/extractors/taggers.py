"""Networks that name what they hear: how strong each of their tags is in equal windows, and the mean of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import ReclassError, SkipTrack
from music_reclass.extractors import windows
from music_reclass.extractors.network import Blueprint, Network, finite_row
from music_reclass.extractors.weights import safetensors, store
from music_reclass.utils.batching import Slope
from music_reclass.utils.device import Placement
from music_reclass.utils.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Config = Mapping[str, Any]


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
        return self._design.build(safetensors.read(self._installed.weights), _config(self._installed))


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
