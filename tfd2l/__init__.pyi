from .callback import Callback
from .data import DataModule, FashionMNIST, SyntheticRegressionData
from .functional import (
    accuracy,
    cross_entropy,
    cross_entropy_from_logits,
    entropy,
    relu,
    softmax,
    squared_loss,
)
from .hyperparameters import HyperParameters, add_to_class
from .models.linear import LinearRegression, LinearRegressionScratch
from .models.mlp import MLP, MLPScratch
from .models.softmax import SoftmaxRegression, SoftmaxRegressionScratch
from .module import Classifier, Module
from .optim import SGD
from .plotting import ProgressBoard, plot, show_images
from .trainer import Trainer

__all__ = [
    "MLP",
    "SGD",
    "Callback",
    "Classifier",
    "DataModule",
    "FashionMNIST",
    "HyperParameters",
    "LinearRegression",
    "LinearRegressionScratch",
    "MLPScratch",
    "Module",
    "ProgressBoard",
    "SoftmaxRegression",
    "SoftmaxRegressionScratch",
    "SyntheticRegressionData",
    "Trainer",
    "accuracy",
    "add_to_class",
    "cross_entropy",
    "cross_entropy_from_logits",
    "entropy",
    "plot",
    "relu",
    "show_images",
    "softmax",
    "squared_loss",
]
