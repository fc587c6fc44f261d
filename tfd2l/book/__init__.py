"""The definitions of the book's chapters 2 to 8, by the book's names; each file says its section.

The machinery behind `Trainer.fit` is in `engine/`, and each command has a folder of its own.

| section | file |
|---|---|
| 2.1 to 2.5 | `aliases`: the book's short names for TensorFlow's functions |
| 2.4 | `plotting`: plot; `pyplot`: the book's functions for pyplot |
| 2.6 | `distributions`: Multinomial |
| 3.1 | `timer`: Timer |
| 3.2 | `hyperparameters`, `board`, `nn_module`, `module`, `data`, `trainer` |
| 3.3 | `data`: SyntheticRegressionData |
| 3.4, 3.5, 3.7 | `models/linear`; `optim`: SGD |
| 4.1, 4.4 | `functional`: softmax, losses, accuracy |
| 4.2 | `data_modules/fashion_mnist`; `plotting`: show_images |
| 4.3 | `module`: Classifier |
| 4.4, 4.5 | `models/softmax` |
| 5.1, 5.2, 5.6 | `models/mlp`; `functional`: relu, dropout_layer |
| 5.7 | `downloads`, `kaggle_house` |
| 6.7 | `devices` |
| 7.2 | `functional`: corr2d |
| 7.6, 8.6 | `models/convolutional`: LeNet, Residual, ResNeXtBlock |

Without a section: the other `data_modules`, of a reader's own files; `summary`, the description of
a model; `torch_names`, PyTorch's methods.
"""

import lazy_loader

from tfd2l.common.keras_backend import check_keras_backend

check_keras_backend()
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["distributions"])
