"""PyTorch's `DataLoader` with two workers, and a loop: W7, W8 and W8b."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks.peers.common import Data, Epochs, Workload, main, scratch_folder
from benchmarks.peers.torch_loop import Concise


class Images(Dataset):
    """Images in an array or a memory-mapped file, given out in batches of indices."""

    def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
        self.X, self.y = X, y

    def __len__(self) -> int:
        return len(self.X)

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a whole batch, which is much faster than image by image."""
        X = torch.as_tensor(self.X[indices]).reshape(-1, 784)
        return X.float() / 255, torch.as_tensor(self.y[indices]).long()


def from_folder(path: Path) -> Dataset:
    """Return the images of W8b, decoded when they are asked for."""
    from torchvision import datasets, transforms

    steps = [transforms.Grayscale(), transforms.ToTensor(), torch.flatten]
    return datasets.ImageFolder(path, transforms.Compose(steps))


def run(workload: Workload, num_epochs: int, data: Data, epochs: Epochs) -> None:
    """Train and validate."""
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "batch_size": workload.batch_size,
        "num_workers": 2,
        "persistent_workers": True,
    }
    if workload.name == "W8b":
        parts = from_folder(data.folder / "train"), from_folder(data.folder / "val")
    else:
        X, y = data.train
        if workload.name == "W8":
            path = scratch_folder() / "images.npy"
            np.save(path, X)
            X = np.load(path, mmap_mode="r")
        parts = Images(X, y), Images(*data.val)
        options["collate_fn"] = lambda batch: batch
    train, val = DataLoader(parts[0], shuffle=True, **options), DataLoader(parts[1], **options)
    model = Concise(workload)
    for _ in range(num_epochs):
        epochs.start()
        for inputs, targets in train:
            model.step(F.cross_entropy(model(inputs), targets))
        measured = 0
        with torch.no_grad():
            for inputs, targets in val:
                y_hat = model(inputs)
                F.cross_entropy(y_hat, targets)
                measured += (y_hat.argmax(1) == targets).sum().item()
        epochs.end(measured / len(data.val[0]))


if __name__ == "__main__":
    main(run)
