"""Which features suit the data and what the user asked for."""

from pathlib import Path

import torch

from cardigan.data.spec import DataSpec
from cardigan.errors import DataError, RunError
from cardigan.evaluation.classifier import ChannelFeatures, ClassifierFeatures, RandomFeatures, train_classifier
from cardigan.evaluation.dinov2 import dinov2_features
from cardigan.evaluation.features import Features, IdentityFeatures
from cardigan.evaluation.inception import inception_features
from cardigan.evaluation.sources import Dataset

FEATURES_SEED = 0


def domain_classifier(
    reference: Dataset,
    train: Dataset | None,
    cache: Path | None,
    seed: int = FEATURES_SEED,
    device: str | torch.device = "cpu",
) -> ClassifierFeatures | None:
    """The classifier of the data's own classes, or of the digits that stacked digits are made of; None without labels.

    It sees training labels only, and is scored on the reference split.
    """
    modes, spec = reference.known_modes, reference.spec
    if spec.kind == "points":
        return None
    if modes is not None:
        return train_classifier(modes.base.train, modes.base.test, seed, cache, device)
    if train is None or len(spec.classes) < 2 or train.labels(torch.tensor([0])) is None:
        return None
    return train_classifier(train, reference, seed, cache, device)


def choose_features(
    which: str, spec: DataSpec, classifier: ClassifierFeatures | None, device: str | torch.device = "cpu"
) -> tuple[Features, ...]:
    """The main features, and a second opinion from a random network where those were learnt from pictures.

    Raises:
        DataError: when a classifier is asked for and there are no labels.
        RunError: unknown features or weights.
    """
    if spec.kind == "points" or which == "identity":
        return (IdentityFeatures(spec.dimensions),)
    if which == "random" or (which == "auto" and classifier is None):
        return (RandomFeatures(FEATURES_SEED, spec, device),)
    if which not in ("auto", "classifier"):
        return load_features(which, device), RandomFeatures(FEATURES_SEED, spec, device)
    if classifier is None:
        raise DataError("classifier features take a labelled training split: use --features random")
    stacked = classifier.channels < spec.channels
    main = ChannelFeatures(classifier, spec.channels) if stacked else classifier
    return main, RandomFeatures(FEATURES_SEED, spec, device)


def load_features(which: str, device: str | torch.device = "cpu") -> Features:
    """Pretrained features: ``inception:FILE`` (weights as safetensors or state dict) or ``dinov2:FOLDER_OR_HUB_ID``.

    Raises:
        RunError: an unknown name, or weights that are missing or not those of the network.
    """
    kind, _, where = which.partition(":")
    if kind == "inception" and where:
        return inception_features(Path(where).expanduser(), device)
    if kind == "dinov2" and where:
        return dinov2_features(where, device)
    raise RunError(
        f"unknown features '{which}': use auto, classifier, random, identity, inception:FILE or dinov2:FOLDER_OR_HUB_ID"
    )
