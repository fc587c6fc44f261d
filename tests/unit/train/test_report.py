"""The report of a finished run, against counts by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import tfd2l as d2l
from tests.support.data import regression_data
from tfd2l.train.report import confusion_matrix, write_classifier_report, write_curves


def test_the_confusion_matrix_counts_true_against_predicted() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 2]), 3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [0, 0, 2]])


def test_pictures_are_drawn_even_if_all_predictions_are_right(tmp_path: Path) -> None:
    images, labels = np.zeros((3, 4, 4), np.uint8), np.array([0, 1, 1], np.uint8)
    right = np.eye(2, dtype=np.float32)[labels]
    for name, logits in (("right", right), ("wrong", right[::-1].copy())):
        directory = tmp_path / name
        directory.mkdir()
        write_classifier_report(directory, images, labels, logits, ["bag", "coat"])
        for picture in ("confusion.png", "misclassified.png"):
            with Image.open(directory / picture) as opened:
                opened.verify()


def test_the_curves_are_those_of_the_board(tmp_path: Path) -> None:
    trainer = d2l.Trainer(2)
    model = d2l.LinearRegressionScratch(2, lr=0.03)
    trainer.fit(model, regression_data())
    write_curves(tmp_path, trainer.model.board)
    with Image.open(tmp_path / "curves.png") as opened:
        opened.verify()
    assert model.board.axes is not None
    assert [line.get_label() for line in model.board.axes.lines] == ["train_loss", "val_loss"]
