"""The report of a finished run, against counts by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfd2l as d2l
from pipelines.outputs import ClassOutput, NumberOutput
from tests.support.data import regression_data
from tfd2l.train.report import (
    confusion_matrix,
    curves_figure,
    residuals_figure,
    write_curves,
    write_report,
)


def test_the_confusion_matrix_counts_true_against_predicted() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 2]), 3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [0, 0, 2]])


@pytest.mark.parametrize(
    ("shape", "num_classes"), [((4, 4), 30), ((4, 6, 1), 100), ((4, 6, 3), 2)], ids=str
)
def test_pictures_are_drawn_of_any_images_and_classes(
    shape: tuple[int, ...], num_classes: int, tmp_path: Path
) -> None:
    images, labels = np.zeros((3, *shape), np.uint8), np.array([0, 1, 1], np.uint8)
    right = np.eye(num_classes, dtype=np.float32)[labels]
    # Dollar signs are no formula.
    output = ClassOutput(tuple(f"$class_{n}^ {'x' * n}" for n in range(num_classes)))
    for name, logits in (("right", right), ("wrong", right[::-1].copy())):
        directory = tmp_path / name
        directory.mkdir()
        write_report(directory, output, {"image": images}, labels, logits)
        for picture in ("confusion.png", "misclassified.png"):
            with Image.open(directory / picture) as opened:
                opened.verify()


def test_numbers_have_a_picture_of_their_residuals(tmp_path: Path) -> None:
    numbers = np.arange(5, dtype=np.float32)
    write_report(tmp_path, NumberOutput(), {"Rooms": numbers}, numbers, numbers + 1)
    assert [path.name for path in tmp_path.iterdir()] == ["residuals.png"]
    left, right = residuals_figure(numbers, numbers + 1).axes
    np.testing.assert_array_equal(
        left.collections[0].get_offsets(), np.stack([numbers, numbers + 1], 1)
    )
    assert max(bar.get_window_extent().height for bar in right.patches) > 0
    assert right.dataLim.y1 == 5


def test_losses_and_accuracies_are_drawn_apart() -> None:
    board = d2l.ProgressBoard(xlabel="epoch", display=False)
    for label in ("train_loss", "val_loss", "val_acc", "margin"):
        board.draw(1, 0.5, label)
    axes = curves_figure(board).axes
    assert [one.get_title() for one in axes] == ["loss", "accuracy", "other metrics"]
    assert [line.get_label() for line in axes[0].lines] == ["train_loss", "val_loss"]


def test_the_curves_are_those_of_the_board(tmp_path: Path) -> None:
    trainer = d2l.Trainer(2)
    model = d2l.LinearRegressionScratch(2, lr=0.03)
    trainer.fit(model, regression_data())
    write_curves(tmp_path, trainer.model.board)
    with Image.open(tmp_path / "curves.png") as opened:
        opened.verify()
    [axes] = curves_figure(model.board).axes
    points = model.board.data["val_loss"]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [point.y for point in points])
