"""The pretrained models of others: where they come from, how large they are, and under which licence."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import resources

from music_reclass.errors import UsageError


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file to fetch. `sha256` is None where nobody has published it: then the first one seen is pinned."""

    name: str
    url: str
    size: int  # bytes; approximate where no digest is known
    sha256: str | None = None


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


def _hub(repository: str, *files: tuple[str, int, str | None], folder: str = "resolve/main") -> tuple[RemoteFile, ...]:
    base = f"https://huggingface.co/{repository}/{folder}"
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
            (RemoteFile("mn10_as_mAP_471.pt", f"{_EFFICIENTAT}/mn10_as_mAP_471.pt", 19_700_000),),
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
            ("mert", "mert-layers"),
            _hub(
                "m-a-p/MERT-v1-95M",
                ("pytorch_model.bin", 378_000_000, None),
                ("config.json", 1_820, None),
                ("preprocessor_config.json", 211, None),
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
            ("mert-330m", "mert-330m-layers"),
            _hub(
                "m-a-p/MERT-v1-330M",
                (
                    "pytorch_model.bin",
                    1_260_000_000,
                    "0c03774d821a6ad972cb48220b128a10ebea2c790116bd0fd35e5a013f8017f6",
                ),
                ("config.json", 2_030, None),
                ("preprocessor_config.json", 212, None),
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
            _hub("UniMus/OpenJMLA", ("epoch_20.pth", 345_464_000, None)),
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
                ("model.safetensors", 346_000_000, None),
                ("config.json", 26_800, None),
                ("preprocessor_config.json", 297, None),
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
                folder="resolve/fbc00535b3780f278ee7e114165082160a195f1a/checkpoint",
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
