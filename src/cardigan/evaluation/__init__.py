"""How good are the images, honestly: features, distances, and the protocol that goes with every number."""

from cardigan.evaluation.attributes import AttributeClassifier, train_attributes
from cardigan.evaluation.choose import choose_features, domain_classifier, load_features
from cardigan.evaluation.classifier import ChannelFeatures, ClassifierFeatures, RandomFeatures, train_classifier
from cardigan.evaluation.colours import lab
from cardigan.evaluation.diversity import ms_ssim, psnr, ssim
from cardigan.evaluation.evaluate import evaluate
from cardigan.evaluation.features import Features, IdentityFeatures
from cardigan.evaluation.frechet import frechet_distance, frechet_extrapolated
from cardigan.evaluation.holes import hole_psnr, hole_ssim
from cardigan.evaluation.inception_score import inception_score
from cardigan.evaluation.kernel import kernel_distance
from cardigan.evaluation.manifold import manifold
from cardigan.evaluation.memorisation import authentic, copying, nearest_training_images
from cardigan.evaluation.metrics import METRICS
from cardigan.evaluation.modes import point_modes, reverse_kl, stacked_labels
from cardigan.evaluation.protocol import Evaluation, Result
from cardigan.evaluation.retrieval import RPrecision, r_precision
from cardigan.evaluation.score import FrechetScore
from cardigan.evaluation.segmentation import Confusion, LabelledPhotos, Segmenter, train_segmenter
from cardigan.evaluation.sentences import JointEmbedding, LearntPair, learn_pairs, shown_precision, with_vectors
from cardigan.evaluation.sliced import sliced_patches, sliced_wasserstein
from cardigan.evaluation.sources import FromDataset, ImageSource

__all__ = [
    "METRICS",
    "AttributeClassifier",
    "ChannelFeatures",
    "ClassifierFeatures",
    "Confusion",
    "Evaluation",
    "Features",
    "FrechetScore",
    "FromDataset",
    "IdentityFeatures",
    "ImageSource",
    "JointEmbedding",
    "LabelledPhotos",
    "LearntPair",
    "RPrecision",
    "RandomFeatures",
    "Result",
    "Segmenter",
    "authentic",
    "choose_features",
    "copying",
    "domain_classifier",
    "evaluate",
    "frechet_distance",
    "frechet_extrapolated",
    "hole_psnr",
    "hole_ssim",
    "inception_score",
    "kernel_distance",
    "lab",
    "learn_pairs",
    "load_features",
    "manifold",
    "ms_ssim",
    "nearest_training_images",
    "point_modes",
    "psnr",
    "r_precision",
    "reverse_kl",
    "shown_precision",
    "sliced_patches",
    "sliced_wasserstein",
    "ssim",
    "stacked_labels",
    "train_attributes",
    "train_classifier",
    "train_segmenter",
    "with_vectors",
]
