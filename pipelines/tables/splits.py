"""Splits the rows of a table into training and validation rows, by a seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["split"]

Positions = npt.NDArray[np.int64]


def split(
    num_rows: int, val_share: float, seed: int, class_ids: npt.NDArray[np.int32] | None = None
) -> tuple[Positions, Positions]:
    """Draw the validation rows.

    Args:
        num_rows: the number of rows.
        val_share: the share of the validation rows, from 0 to below 1; at least one row is drawn
            unless it is 0.
        seed: the same seed draws the same rows.
        class_ids: (num_rows,); each class then has that share of its rows in the validation, and
            one of its rows at least stays in training.

    Returns:
        The positions of the training and of the validation rows, each in order.

    Example:
        >>> train, val = split(10, 0.2, seed=0)
        >>> len(train), len(val), sorted([*train, *val]) == list(range(10))
        (8, 2, True)
    """
    random = np.random.default_rng(seed)
    order = random.permutation(num_rows)
    ids = np.zeros(num_rows, np.int32) if class_ids is None else class_ids
    parts = [order[ids[order] == one] for one in np.unique(ids)]
    # Half a row counts as one.
    drawn = [part[: min(len(part) - 1, int(len(part) * val_share + 0.5))] for part in parts]
    val = np.sort(np.concatenate(drawn)) if drawn else order
    if val_share > 0 and len(val) == 0 and (large := max(parts, key=len, default=order)).size > 1:
        val = large[:1]
    return np.setdiff1d(order, val), val
