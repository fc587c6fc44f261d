"""The bytes of the real files, for several tests of the pipelines."""

from __future__ import annotations

import pytest

from pipelines.fashion_mnist import Arrays
from pipelines.idx import to_idx
from pipelines.idx_files import FILES


@pytest.fixture(scope="session")
def contents(fashion: Arrays) -> dict[str, bytes]:
    """The decompressed bytes of Fashion-MNIST's four files, by their names."""
    arrays = (
        fashion.train_images, fashion.train_labels, fashion.val_images, fashion.val_labels,
    )  # fmt: skip
    return {file.name: to_idx(array) for file, array in zip(FILES, arrays, strict=True)}
