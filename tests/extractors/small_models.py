"""Reduced models in a models folder: the true names and shapes of the checkpoints, a few per cent of their size."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from music_reclass.extractors import efficientat, mert
from music_reclass.extractors.device import Placement
from music_reclass.extractors.discogs import style_names
from music_reclass.extractors.jmla import Jmla, transformer
from music_reclass.extractors.musicnn import Musicnn, MusicnnTags, shapes
from music_reclass.extractors.taggers import (
    AST_PUBLISHED,
    HUBERT_GENRES,
    HUBERT_PUBLISHED,
    MAEST_PUBLISHED,
    AstTagger,
    GenreHubert,
    MaestTagger,
    ast_published_name,
)
from music_reclass.extractors.weights import store
from music_reclass.extractors.weights.checkpoint import write_safetensors

# sixteen channels in a group: oneDNN of torch 2.13 computes a grouped convolution of eight wrongly in bfloat16
CONFIG = mert.CONFIG_95M | {
    "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
PRE_NORM = CONFIG | {"do_stable_layer_norm": True}
VARIANT = mert.Variant("mert", 32, 7)
ON_CPU = Placement("cpu", "", "fp32")
SMALL_JMLA = {"width": 32, "depth": 2, "heads": 4, "hidden": 64}
AST = AST_PUBLISHED | {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "id2label": {"0": "Speech", "1": "Music", "2": "Banjo"},
}  # fmt: skip
MAEST = MAEST_PUBLISHED | {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "id2label": {str(number): name for number, name in enumerate(style_names())},
}  # fmt: skip
GENRE_HUBERT = HUBERT_PUBLISHED | {
    "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 8,
    "id2label": dict(zip(map(str, range(10)), HUBERT_GENRES, strict=True)),
}  # fmt: skip
WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "weights" / "musicnn_jamendo.pth"
EFFICIENTAT_WEIGHTS = WEIGHTS.with_name("mn04_as_mAP_432.pt")


def random_hubert(config=CONFIG, seed=0):
    """transformers' own model with random weights, made to differ from layer to layer."""
    import torch
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(seed)
    model = HubertModel(HubertConfig(**config)).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(0.05 * torch.randn_like(tensor))
    return model


def hidden_means(model, waves):
    """The means over time of all hidden states of transformers' model, (n, layers + 1, hidden), as it gives them."""
    import torch

    with torch.inference_mode():
        out = model(waves, output_hidden_states=True)
    # of a pre-norm model, what `hidden_states` calls the last differs between transformers 4 and 5
    return torch.stack([states.mean(dim=1) for states in (*out.hidden_states[:-1], out.last_hidden_state)], dim=1)


def arrays(model):
    """The state of a torch model as the arrays an installed file holds."""
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def install(name, tensors, settings=()):
    """Put tensors into RECLASS_MODELS as if they had been installed."""
    folder = store.models_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / store.WEIGHTS, tensors)
    for file, values in dict(settings).items():
        (folder / file).write_text(json.dumps(values))
    digest = store.tensors_digest(tensors)
    store.record(store.Installed(folder, name, digest, len(tensors), 0, "", "a test", "2026-01-01"))
    return store.needed(name)


def random_musicnn(seed=0):
    """A MusiCNN of full size (it is small) with random weights."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes().items():
        if name.endswith("num_batches_tracked"):
            tensors[name] = np.array(1, dtype=np.int64)
        elif name.endswith(("running_var", "window", "fb")):
            tensors[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            fan = int(np.prod(shape[1:])) or 1
            tensors[name] = (rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float32)
    return tensors


def random_efficientat(width=0.4, seed=0):
    """An EfficientAT of one width (it is small) with random weights."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in efficientat.shapes(width).items():
        if name.endswith("num_batches_tracked"):
            tensors[name] = np.array(1, dtype=np.int64)
        elif name.endswith("running_var"):
            tensors[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            fan = int(np.prod(shape[1:])) if len(shape) > 1 else 4
            tensors[name] = (rng.standard_normal(shape) * np.sqrt(2 / fan)).astype(np.float32)
    return tensors


def random_encoder(seed=0):
    """The tensors of a reduced OpenJMLA encoder."""
    import torch

    torch.manual_seed(seed)
    model = transformer(**SMALL_JMLA)
    return {name: (t + 0.05 * torch.randn_like(t)).detach().numpy() for name, t in model.state_dict().items()}


def random_ast(seed=0, config=AST):
    """A reduced AST by transformers, all weights random."""
    from transformers import ASTConfig, ASTForAudioClassification

    shape = {key: config[key] for key in AST_PUBLISHED}
    return randomised(ASTForAudioClassification, ASTConfig(**shape, num_labels=len(config["id2label"])), seed)


def random_genre_hubert(seed=0, config=GENRE_HUBERT, **more):
    """A reduced DistilHuBERT classifier by transformers, all weights random."""
    from transformers import HubertConfig, HubertForSequenceClassification

    shape = {key: config[key] for key in HUBERT_PUBLISHED}
    return randomised(HubertForSequenceClassification, HubertConfig(**shape, **more, num_labels=10), seed)


def randomised(kind, config, seed):
    """A model of transformers in evaluation mode, with noise on every weight."""
    import torch

    torch.manual_seed(seed)
    model = kind(config).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(0.1 * torch.randn_like(tensor))
    return model


@cache
def tensors_of(name):
    """The tensors of one of the small models below, made once; nobody writes to them."""
    if name == "mert":
        return arrays(random_hubert())
    if name == "ast":
        return {ast_published_name(name): tensor for name, tensor in arrays(random_ast()).items()}
    if name == "hubert":
        return arrays(random_genre_hubert(mask_time_prob=0.0, mask_feature_prob=0.0))
    return {"musicnn": random_musicnn, "efficientat": random_efficientat, "jmla": random_encoder}[name]()


def small_musicnn(excerpt="mid30"):
    """The extractor with random weights."""
    return Musicnn(excerpt, install("musicnn", tensors_of("musicnn")))


def small_musicnn_tags(excerpt="mid30"):
    """The extractor of tags with random weights."""
    return MusicnnTags(excerpt, install("musicnn", tensors_of("musicnn")))


def small_efficientat(excerpt="mid30", tags=False):
    """The extractor with random weights."""
    return efficientat.Efficientat(excerpt, install("efficientat", tensors_of("efficientat")), tags)


def small_mert(excerpt="mid30", placement=ON_CPU, variant=VARIANT):
    """The extractor with a reduced network."""
    settings = {"config.json": CONFIG, "preprocessor_config.json": {"do_normalize": True}}
    return mert.Mert(variant, excerpt, install("mert", tensors_of("mert"), settings), placement)


class SmallJmla(Jmla):
    """The extractor of the reduced encoder."""

    width, heads = SMALL_JMLA["width"], SMALL_JMLA["heads"]


def small_jmla(excerpt="mid30", placement=ON_CPU):
    """The extractor with a reduced network."""
    return SmallJmla(excerpt, install("jmla", tensors_of("jmla")), placement)


def small_ast(excerpt="mid30", placement=ON_CPU):
    """The extractor with a reduced network of three tags."""
    return AstTagger(excerpt, install("ast", tensors_of("ast"), {"config.json": AST}), placement)


def small_genre_hubert(excerpt="mid30", placement=ON_CPU):
    """The extractor with a reduced network."""
    settings = {"config.json": GENRE_HUBERT}
    return GenreHubert(excerpt, install("hubert", tensors_of("hubert"), settings), placement)


def discogs_graph(path, seed=0, batch="n", activations=400, tilt=None):
    """An ONNX file with the inputs and outputs of Discogs-EffNet: the mean of the mel through two random matrices.

    `tilt` (styles,) is added before the sigmoid: which styles are heard whatever the sound.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    bias = (np.full(activations, -4.0) if tilt is None else np.asarray(tilt)).astype(np.float32)
    arrays = {
        "to_styles": (rng.standard_normal((96, activations)) / 30).astype(np.float32),
        "bias": bias,
        "to_numbers": (rng.standard_normal((96, 1280)) / 30).astype(np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["melspectrogram"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "to_styles"], ["scores"]),
        helper.make_node("Add", ["scores", "bias"], ["tilted"]),
        helper.make_node("Sigmoid", ["tilted"], ["activations"]),
        helper.make_node("MatMul", ["mean", "to_numbers"], ["numbers"]),
        helper.make_node("Relu", ["numbers"], ["embeddings"]),
    ]

    def tensor(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])

    graph = helper.make_graph(
        nodes, "small", [tensor("melspectrogram", 128, 96)],
        [tensor("activations", activations), tensor("embeddings", 1280)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return arrays


def install_discogs(folder, **graph):
    """Install such a graph as discogs-effnet; what it was made of."""
    from music_reclass.extractors.weights import catalogue
    from music_reclass.extractors.weights.install import from_disk

    arrays = discogs_graph(folder / "any.onnx", **graph)
    from_disk(catalogue.model("discogs-effnet"), folder / "any.onnx", trust=True)
    return arrays


def small_maest(excerpt="mid30", placement=ON_CPU):
    """The extractor with random weights."""
    tensors = {ast_published_name(name): tensor for name, tensor in arrays(random_ast(config=MAEST)).items()}
    return MaestTagger(excerpt, install("maest", tensors, {"config.json": MAEST}), placement)
