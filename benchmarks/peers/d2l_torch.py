"""The book's own package on PyTorch: its models and Trainer, its DataLoader with four workers."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import Any

import torch
from d2l import torch as d2l

from benchmarks.peers.common import NUM_HIDDENS, Array, Data, Epochs, Workload, main


class SoftmaxScratch(d2l.Classifier):
    """Softmax regression from scratch, as in the book's section 4.4."""

    def __init__(self, lr: float, sigma: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.W = torch.normal(0, sigma, size=(784, 10), requires_grad=True)
        self.b = torch.zeros(10, requires_grad=True)

    def parameters(self, recurse: bool = True) -> Any:
        """Return the trained parameters."""
        return [self.W, self.b]

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return probabilities."""
        X_exp = torch.exp(X.reshape(-1, 784) @ self.W + self.b)
        return X_exp / X_exp.sum(1, keepdim=True)

    def loss(self, Y_hat: torch.Tensor, Y: torch.Tensor, averaged: bool = True) -> torch.Tensor:
        """Return the cross-entropy of probabilities."""
        return -torch.log(Y_hat[range(len(Y_hat)), Y]).mean()


class MLPScratch(d2l.Classifier):
    """The MLP from scratch, as in section 5.2."""

    def __init__(self, lr: float, sigma: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.W1 = torch.nn.Parameter(torch.randn(784, NUM_HIDDENS) * sigma)
        self.b1 = torch.nn.Parameter(torch.zeros(NUM_HIDDENS))
        self.W2 = torch.nn.Parameter(torch.randn(NUM_HIDDENS, 10) * sigma)
        self.b2 = torch.nn.Parameter(torch.zeros(10))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        H = torch.relu(X.reshape(-1, 784) @ self.W1 + self.b1)
        return H @ self.W2 + self.b2


class MLP(d2l.Classifier):
    """The concise MLP, as in section 5.2."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(784, NUM_HIDDENS),
            torch.nn.ReLU(),
            torch.nn.Linear(NUM_HIDDENS, 10),
        )


class Given(d2l.DataModule):
    """W1's features and targets."""

    def __init__(self, data: Data, batch_size: int) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["data"])
        self.data = data

    def get_dataloader(self, train: bool) -> Any:
        """Return batches of features and targets."""
        pair = self.data.train if train else self.data.val
        return self.get_tensorloader(tuple(map(torch.as_tensor, pair)), train)


def write_idx(path: Path, array: Array) -> None:
    """Write a file as torchvision's download does."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


def fashion_mnist(data: Data, batch_size: int, folder: Path) -> Any:
    """Return the book's data module, on files that need no download."""
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, (images, labels) in (("train", data.train), ("t10k", data.val)):
        write_idx(raw / f"{name}-images-idx3-ubyte", images)
        write_idx(raw / f"{name}-labels-idx1-ubyte", labels)
    # Its constructor reads from ../data and takes no other directory.
    d2l.DataModule.__init__.__defaults__ = (str(folder), 4)
    return d2l.FashionMNIST(batch_size=batch_size)


def run(workload: Workload, num_epochs: int, data: Data, epochs: Epochs) -> None:
    """Fit the book's model without drawing its board."""
    torch.manual_seed(0)

    class Trainer(d2l.Trainer):
        def fit_epoch(self) -> None:
            epochs.start()
            super().fit_epoch()
            measured = self.model.board.data["val_loss" if workload.is_linear else "val_acc"][-1]
            epochs.end(float(measured.y))

    with tempfile.TemporaryDirectory() as folder:
        lr = workload.lr
        if workload.is_linear:
            module, model = Given(data, workload.batch_size), d2l.LinearRegressionScratch(2, lr)
        else:
            module = fashion_mnist(data, workload.batch_size, Path(folder))
            model = {"W2": SoftmaxScratch, "W3": MLPScratch, "W4": MLP}[workload.name](lr)
        model.board.display = False
        Trainer(max_epochs=num_epochs).fit(model, module)


if __name__ == "__main__":
    main(run)
