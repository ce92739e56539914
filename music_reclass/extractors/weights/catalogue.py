"""The pretrained models of others: where they come from, how large they are, and under which licence."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple

from music_reclass.errors import UsageError

HUB = "https://huggingface.co"


class HubFile(NamedTuple):
    """Where a file lies on the Hugging Face hub."""

    repository: str  # OWNER/NAME
    revision: str  # a commit, or main
    path: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file to fetch. `sha256` is None where nobody has published it: then the first one seen is pinned."""

    name: str
    url: str
    size: int  # bytes; approximate where no digest is known
    sha256: str | None = None

    @property
    def hub(self) -> HubFile | None:
        """The same place as the hub names it; None for a file from elsewhere."""
        found = re.fullmatch(rf"{re.escape(HUB)}/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.url)
        return HubFile(*found.groups()) if found else None


@dataclass(frozen=True, slots=True)
class Model:
    """A model and its weights. `converter` names the function that brings its tensors into one form.

    A model whose weights are an ONNX file is kept as it is: it has a graph instead of tensors, and `converter` checks
    that file.
    """

    name: str
    title: str
    kinds: tuple[str, ...]
    files: tuple[RemoteFile, ...]  # the weights first
    licence: str
    tensors: int
    values: int  # in all tensors together
    converter: str
    extra: str = ""  # the extra of packages that it needs, empty for none

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.files)

    @property
    def is_graph(self) -> bool:
        """Whether the weights are an ONNX graph."""
        return self.files[0].name.endswith(".onnx")

    @property
    def licence_text(self) -> str:
        """The terms, in full or as far as they are published, with their source."""
        return resources.files("music_reclass").joinpath(f"data/licences/{self.name}.txt").read_text(encoding="utf-8")


def _hub(repository: str, *files: tuple[str, int, str | None], at: str = "main") -> tuple[RemoteFile, ...]:
    """Files of a repository; `at` is a commit where one is known to hold them, and may go on with a folder."""
    base = f"{HUB}/{repository}/resolve/{at}"
    return tuple(RemoteFile(name, f"{base}/{name}", size, sha) for name, size, sha in files)


_MUSICNN = (
    "https://raw.githubusercontent.com/minzwon/sota-music-tagging-models/ffcd1f90b97a1e923a50c6e5283f147cf9dd7dfd"
)

_EFFICIENTAT = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1"

MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model(
            "efficientat",
            "EfficientAT mn04, trained on AudioSet: 384 numbers and 527 tags of a track, without torch",
            ("efficientat", "efficientat-tags"),
            (
                RemoteFile(
                    "mn04_as_mAP_432.pt",
                    f"{_EFFICIENTAT}/mn04_as_mAP_432.pt",
                    4_066_513,
                    "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
                ),
            ),
            "MIT",
            312,
            993_485,
            "music_reclass.extractors.efficientat:canonical_mn04",
        ),
        Model(
            "efficientat-mn10",
            "EfficientAT mn10, the wider one: 960 numbers and 527 tags of a track, without torch, four times the work",
            ("efficientat-mn10", "efficientat-mn10-tags"),
            (
                RemoteFile(
                    "mn10_as_mAP_471.pt",
                    f"{_EFFICIENTAT}/mn10_as_mAP_471.pt",
                    19_708_753,
                    "0bd7dc2443af498c289a2e739f02ebb515d6aa3fd3ab9db539c86123ae368a4e",
                ),
            ),
            "MIT",
            312,
            4_901_277,
            "music_reclass.extractors.efficientat:canonical_mn10",
        ),
        Model(
            "musicnn",
            "MusiCNN trained on MTG-Jamendo: 200 numbers and 50 tags of a track, without torch",
            ("musicnn", "musicnn-tags"),
            (
                RemoteFile(
                    "best_model.pth",
                    f"{_MUSICNN}/models/jamendo/musicnn/best_model.pth",
                    3_257_168,
                    "66280f4859376377c47f64313c7ac889a3201fdb06a01bf6e94ac6e619081bb5",
                ),
            ),
            "MIT",
            72,
            811_402,
            "music_reclass.extractors.musicnn:canonical",
        ),
        Model(
            "mert",
            "MERT-v1-95M, a transformer pretrained on music without labels: 768 numbers of a track",
            ("mert",),
            _hub(
                "m-a-p/MERT-v1-95M",
                (
                    "pytorch_model.bin",
                    377_552_987,
                    "a2b8b747f72c06e0595aeae41ae5473f4364938c6b39b2c58be38c48e6bd3fcd",
                ),
                ("config.json", 1_817, "ea2627c4c7825cd66f3c944b6b966331604c35928174e0100cd4a82829424e32"),
                ("preprocessor_config.json", 211, "cc5a5e4a5d3b1a758a5ed984b2eaa15bb0522d811d44a9eed82bfca4baa0dc8f"),
                at="12af15fef9d0ac838c3f475bfbbf26d2060dd4f5",
            ),
            "CC-BY-NC-4.0",
            211,
            94_371_712,
            "music_reclass.extractors.mert:canonical_95m",
            "neural",
        ),
        Model(
            "mert-330m",
            "MERT-v1-330M, the large MERT: 1024 numbers of a track, three times the work",
            ("mert-330m",),
            _hub(
                "m-a-p/MERT-v1-330M",
                (
                    "pytorch_model.bin",
                    1_260_000_000,
                    "0c03774d821a6ad972cb48220b128a10ebea2c790116bd0fd35e5a013f8017f6",
                ),
                ("config.json", 2_030, None),
                ("preprocessor_config.json", 212, None),
                at="5240c2708a5acaee1007f43fb9735c7dcd0b78c9",
            ),
            "CC-BY-NC-4.0",
            403,
            315_428_992,
            "music_reclass.extractors.mert:canonical_330m",
            "neural",
        ),
        Model(
            "jmla",
            "The audio encoder of OpenJMLA, a vision transformer over mel spectrograms: 768 numbers of a track",
            ("jmla",),
            _hub(  # no commit of this repository is known from a second source
                "UniMus/OpenJMLA",
                ("epoch_20.pth", 345_464_000, "cffdf796c0506b5dba4f48dfb1e8d0bbddac95545503cfbaa9661c9bddf07901"),
            ),
            "cc (which one is not said)",
            150,
            86_366_208,
            "music_reclass.extractors.jmla:canonical",
            "neural",
        ),
        Model(
            "ast",
            "AST, the Audio Spectrogram Transformer trained on AudioSet: 527 tags of a track, instruments among them",
            ("ast-tags",),
            _hub(
                "MIT/ast-finetuned-audioset-10-10-0.4593",
                (
                    "model.safetensors",
                    346_404_948,
                    "ae0c1e2ad4e1381d851fa9bf298ba13ebc9c5a914cdee2dbe427a6583869924d",
                ),
                ("config.json", 26_763, "a93d525511d77e8ecc933d09674b85099815bbbb417c228a4edd655e252fb9ff"),
                ("preprocessor_config.json", 297, "8d04ba5a9c6fca5d39d0de2b1fd05ecf79deb589fbba279728bbebac39934231"),
                at="f826b80d28226b62986cc218e5cec390b1096902",
            ),
            "BSD-3-Clause",
            203,
            86_594_063,
            "music_reclass.extractors.taggers:canonical_ast",
            "neural",
        ),
        Model(
            "discogs-effnet",
            "Discogs-EffNet, an EfficientNet trained on Discogs' 400 styles, which are genres without any training",
            ("discogs", "discogs-styles"),
            (
                RemoteFile(
                    "discogs-effnet-bsdynamic-1.onnx",
                    "https://essentia.upf.edu/models/feature-extractors/discogs-effnet/discogs-effnet-bsdynamic-1.onnx",
                    18_027_718,
                    "a280825b334797cf677939db8cd5762c0392aedd0ca6415dbc1cd083f045e43c",
                ),
            ),
            "CC-BY-NC-SA-4.0",
            0,
            0,
            "music_reclass.extractors.discogs:check_graph",
            "onnx",
        ),
        Model(
            "maest",
            "MAEST, a transformer over half a minute: Discogs' 400 styles, which are genres without any training",
            ("maest-styles",),
            _hub(
                "mtg-upf/discogs-maest-30s-pw-73e-ts",
                ("model.safetensors", 347_461_000, None),
                ("config.json", 27_600, None),
                ("preprocessor_config.json", 476, None),
            ),
            "CC-BY-NC-SA-4.0",
            203,
            86_858_128,
            "music_reclass.extractors.taggers:canonical_maest",
            "neural",
        ),
        Model(
            "hubert",
            "DistilHuBERT trained on GTZAN's ten genres (HuBERT-Genre-Clf): ten genres of a track",
            ("distilhubert-genre",),
            _hub(
                "danilotpnta/HuBERT-Genre-Clf",
                ("model.safetensors", 94_800_000, None),
                ("config.json", 1_880, None),
                ("preprocessor_config.json", 212, None),
                at="fbc00535b3780f278ee7e114165082160a195f1a/checkpoint",
            ),
            "MIT",
            52,
            23_690_634,
            "music_reclass.extractors.taggers:canonical_hubert",
            "neural",
        ),
    )
}

RECOMMENDED = "efficientat"


def model(name: str) -> Model:
    """The model of that name; UsageError names the nearest."""
    if name in MODELS:
        return MODELS[name]
    near = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(MODELS)}."
    raise UsageError(f"There is no model {name!r}; {hint}")
