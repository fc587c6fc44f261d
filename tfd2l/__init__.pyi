from .book import distributions
from .book.aliases import (
    abs,
    arange,
    argmax,
    astype,
    batch_matmul,
    concat,
    cos,
    cosh,
    exp,
    expand_dims,
    eye,
    float32,
    float64,
    int32,
    int64,
    linspace,
    log,
    matmul,
    meshgrid,
    normal,
    numpy,
    ones,
    ones_like,
    rand,
    randn,
    reduce_mean,
    reduce_sum,
    repeat,
    reshape,
    sigmoid,
    sin,
    sinh,
    size,
    stack,
    tanh,
    tensor,
    transpose,
    zeros,
    zeros_like,
)
from .book.board import ProgressBoard
from .book.callbacks.early_stopping import EarlyStopping
from .book.callbacks.model_checkpoint import ModelCheckpoint
from .book.callbacks.tensorboard import TensorBoard
from .book.data import DataModule, SyntheticRegressionData
from .book.data_modules.fashion_mnist import FashionMNIST
from .book.data_modules.image_folder import ImageFolder
from .book.data_modules.table import Table
from .book.devices import cpu, gpu, num_gpus, try_all_gpus, try_gpu
from .book.downloads import DATA_URL, download
from .book.functional import (
    accuracy,
    corr2d,
    cross_entropy,
    cross_entropy_from_logits,
    dropout_layer,
    entropy,
    l2_penalty,
    relu,
    softmax,
    squared_loss,
)
from .book.hyperparameters import HyperParameters, add_to_class
from .book.kaggle_house import KaggleHouse
from .book.models.convolutional import LeNet, Residual, ResNeXtBlock
from .book.models.linear import (
    LinearRegression,
    LinearRegressionScratch,
    WeightDecay,
    WeightDecayScratch,
)
from .book.models.mlp import MLP, DropoutMLP, DropoutMLPScratch, MLPRegression, MLPScratch
from .book.models.softmax import SoftmaxRegression, SoftmaxRegressionScratch
from .book.module import Classifier, Module
from .book.nn_module import nn_Module
from .book.optim import SGD
from .book.plotting import plot, show_images
from .book.pyplot import plt, set_axes, set_figsize, use_svg_display
from .book.timer import Timer
from .book.trainer import Trainer
from .data_service.mapping import map_on_service
from .engine.callback import Callback
from .export.models import publish
from .predict.grpc_client import GrpcClient
from .predict.images import read_image_file
from .predict.local import LocalModel
from .predict.rest_client import Client

__version__: str

__all__ = [
    "DATA_URL",
    "MLP",
    "SGD",
    "Callback",
    "Classifier",
    "Client",
    "DataModule",
    "DropoutMLP",
    "DropoutMLPScratch",
    "EarlyStopping",
    "FashionMNIST",
    "GrpcClient",
    "HyperParameters",
    "ImageFolder",
    "KaggleHouse",
    "LeNet",
    "LinearRegression",
    "LinearRegressionScratch",
    "LocalModel",
    "MLPRegression",
    "MLPScratch",
    "ModelCheckpoint",
    "Module",
    "ProgressBoard",
    "ResNeXtBlock",
    "Residual",
    "SoftmaxRegression",
    "SoftmaxRegressionScratch",
    "SyntheticRegressionData",
    "Table",
    "TensorBoard",
    "Timer",
    "Trainer",
    "WeightDecay",
    "WeightDecayScratch",
    "abs",
    "accuracy",
    "add_to_class",
    "arange",
    "argmax",
    "astype",
    "batch_matmul",
    "concat",
    "corr2d",
    "cos",
    "cosh",
    "cpu",
    "cross_entropy",
    "cross_entropy_from_logits",
    "distributions",
    "download",
    "dropout_layer",
    "entropy",
    "exp",
    "expand_dims",
    "eye",
    "float32",
    "float64",
    "gpu",
    "int32",
    "int64",
    "l2_penalty",
    "linspace",
    "log",
    "map_on_service",
    "matmul",
    "meshgrid",
    "nn_Module",
    "normal",
    "num_gpus",
    "numpy",
    "ones",
    "ones_like",
    "plot",
    "plt",
    "publish",
    "rand",
    "randn",
    "read_image_file",
    "reduce_mean",
    "reduce_sum",
    "relu",
    "repeat",
    "reshape",
    "set_axes",
    "set_figsize",
    "show_images",
    "sigmoid",
    "sin",
    "sinh",
    "size",
    "softmax",
    "squared_loss",
    "stack",
    "tanh",
    "tensor",
    "transpose",
    "try_all_gpus",
    "try_gpu",
    "use_svg_display",
    "zeros",
    "zeros_like",
]
