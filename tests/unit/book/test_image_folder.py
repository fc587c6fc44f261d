"""tfd2l/book/data_modules/image_folder.py: a reader's own images, drawn here."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

import tfd2l as d2l
from pipelines.image_folders.listing import ImageFolderError


def draw(label: str, number: int, size: tuple[int, int] = (24, 24)) -> Image.Image:
    """Draw a light circle or square somewhere on a dark, coloured ground."""
    random = np.random.default_rng([number, len(label)])
    dark, light = random.integers(0, 90, 3), random.integers(150, 256, 3)
    image = Image.new("RGB", size, tuple(map(int, dark)))
    x, y, side = *random.integers(1, 5, 2), random.integers(12, 18)
    box = (int(x), int(y), int(x + side), int(y + side))
    fill = tuple(map(int, light))
    pen = ImageDraw.Draw(image)
    if label == "circle":
        pen.ellipse(box, fill=fill)
    else:
        pen.rectangle(box, fill=fill)
    return image


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 circles and 30 squares as PNG."""
    root = tmp_path_factory.mktemp("photos")
    for label, count in (("square", 30), ("circle", 40)):
        (root / label).mkdir()
        for number in range(count):
            draw(label, number).save(root / label / f"{number:02}.png")
    return root


@pytest.fixture
def copy(photos: Path, tmp_path: Path) -> Path:
    """A copy of `photos` that a test may change."""
    return shutil.copytree(photos, tmp_path / "copy")


def batches(loader: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(X.numpy(), y.numpy()) for X, y in loader]


def test_batches_are_float_images_in_0_to_1_with_their_class_ids(photos: Path) -> None:
    data = d2l.ImageFolder(photos, batch_size=16, resize=(24, 24))
    assert data.labels == ("circle", "square")
    # A fifth of 40 and of 30 is for validation.
    assert (data.num_train, data.num_val) == (56, 14)
    assert [len(y) for _, y in batches(data.train_dataloader())] == [16, 16, 16, 8]
    (X, y), = batches(data.val_dataloader())  # fmt: skip
    assert X.shape == (14, 24, 24, 3)
    assert (X.dtype.name, y.dtype.name) == ("float32", "int32")
    assert y.tolist() == [0] * 8 + [1] * 6
    numbers = [int(path.stem) for path in sorted((photos / "square").iterdir())]
    drawn = [np.asarray(draw("square", number)) for number in numbers]
    # Each validation image is one that was drawn, and no training image.
    for image in np.rint(X[8:] * 255).astype(np.uint8):
        assert any(np.array_equal(image, other) for other in drawn)
        assert not any(np.array_equal(image, other) for other in data.train[0])
    np.testing.assert_allclose(X, data.val[0] / 255, rtol=2e-7)


def test_grey_images_have_one_channel(photos: Path) -> None:
    data = d2l.ImageFolder(photos, batch_size=8, resize=(6, 4), channels=1)
    X, _ = next(iter(data.train_dataloader()))
    assert X.shape == (8, 6, 4, 1)
    raw = data.raw_input()
    assert raw.shape == (6, 4)
    images, class_ids = data.raw_examples(3)
    assert (images["image"].shape, images["image"].dtype) == ((3, 6, 4), np.uint8)
    assert class_ids.tolist() == [0, 0, 0]
    (X, _), *_ = batches(data.val_dataloader())
    assert np.array_equal(raw.prepare(images), X[:3])


def test_what_an_export_needs(photos: Path) -> None:
    data = d2l.ImageFolder(photos, resize=(12, 10), val_share=0)
    assert data.val_dataloader() is None
    assert (data.num_train, data.num_val) == (70, 0)
    images, class_ids = data.raw_examples()
    assert images["image"].shape == (70, 12, 10, 3)
    assert len(class_ids) == 70
    raw = data.raw_input()
    assert (raw.shape, raw.framing) == ((12, 10, 3), "none")
    assert data.output().labels == ("circle", "square")
    first = (photos / "circle/00.png").read_bytes()
    assert np.array_equal(raw.decoded(tf.constant([first]))[0], images["image"][0])


def test_in_a_file_the_epochs_are_the_same(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    loaded = d2l.ImageFolder(photos, batch_size=16, resize=(8, 8))
    in_file = d2l.ImageFolder(photos, batch_size=16, resize=(8, 8), memory_limit=0, cache=cache)
    assert cache.is_dir()
    # The file has no name.
    assert not list(cache.iterdir())
    loaders = loaded.train_dataloader(), in_file.train_dataloader()
    for _ in range(2):
        for (X, y), (U, v) in zip(*map(batches, loaders), strict=True):
            assert np.array_equal(X, U)
            assert np.array_equal(y, v)
    # What a fit gathers its batches by.
    ours, theirs = (loader.indexed_batches for loader in loaders)
    for epoch in (0, 5):
        assert np.array_equal(ours.order(epoch), theirs.order(epoch))
    assert not np.array_equal(ours.order(0), ours.order(5))


def test_on_a_gpu_images_in_a_file_are_streamed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = d2l.ImageFolder(photos, resize=(8, 8), memory_limit=0, cache=tmp_path)
    expected = batches(data.val_dataloader())
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda _: ["GPU:0"])
    loader = data.val_dataloader()
    assert not hasattr(loader, "indexed_batches")
    assert np.array_equal(batches(loader)[0][1], expected[0][1])


def test_the_fingerprint_follows_names_and_contents_but_not_the_place(
    photos: Path, copy: Path
) -> None:
    def fingerprint(root: Path, **options: Any) -> str:
        return d2l.ImageFolder(root, resize=(2, 2), **options).fingerprint

    first = fingerprint(photos)
    assert fingerprint(copy, seed=1, channels=1, val_share=0.5) == first
    seen = {first}
    changes: list[Callable[[], object]] = [
        lambda: (copy / "circle/00.png").rename(copy / "circle/x.png"),
        lambda: draw("square", 99).save(copy / "square/01.png"),
        lambda: draw("square", 98).save(copy / "square/98.png"),
        lambda: (copy / "square/02.png").unlink(),
        lambda: (copy / "square/03.png").rename(copy / "circle/03a.png"),
        lambda: (copy / "square").rename(copy / "rectangle"),
    ]
    for number, change in enumerate(changes, start=2):
        change()
        seen.add(fingerprint(copy))
        assert len(seen) == number
    # Another time of writing is no change.
    os.utime(copy / "circle/01.png", (0, 0))
    assert fingerprint(copy) in seen


def test_the_description_is_json(photos: Path) -> None:
    data = d2l.ImageFolder(photos, resize=(2, 3), seed=5)
    described = json.loads(json.dumps(data.describe()))
    assert described == {
        "name": "ImageFolder",
        "seed": 5,
        "source": f"the folder {photos}",
        "resize": [2, 3],
        "channels": 3,
        "val_share": 0.2,
        "num_train": {"circle": 32, "square": 24},
        "num_val": {"circle": 8, "square": 6},
        "skipped": [],
        "fingerprint": data.fingerprint,
    }


def test_broken_files_are_named_before_the_training_or_passed_over(copy: Path) -> None:
    (copy / "circle/00.png").write_bytes(b"")
    (copy / "square/07.png").write_bytes((copy / "square/07.png").read_bytes()[:-20])
    with pytest.raises(ImageFolderError) as caught:
        d2l.ImageFolder(copy, resize=(2, 2))
    assert str(caught.value) == (
        f"2 of the images in {copy} can't be read: circle/00.png (not a JPEG, PNG, GIF, BMP or "
        "WebP file, but an empty file), square/07.png (Invalid PNG data, size "
        f"{(copy / 'square/07.png').stat().st_size}). Mend or remove them, or go on without them "
        "by skip_broken=True."
    )
    with pytest.warns(UserWarning, match=r"2 broken images are passed over: circle/00\.png"):
        data = d2l.ImageFolder(copy, resize=(2, 2), skip_broken=True)
    assert data.skipped == data.describe()["skipped"] == ["circle/00.png", "square/07.png"]
    assert data.num_train + data.num_val == 68
    assert len(data.train[0]) == len(data.train[1]) == data.num_train


def test_a_class_of_broken_files_alone_is_refused(copy: Path) -> None:
    for path in (copy / "circle").iterdir():
        path.write_bytes(b"GIF89a")
    with pytest.raises(ImageFolderError, match=r"all training images of circle in .* are broken"):
        d2l.ImageFolder(copy, resize=(2, 2), skip_broken=True)


def test_what_is_not_read_is_said_once_where_the_folder_is_used(copy: Path) -> None:
    (copy / "circle/a.heic").touch()
    with pytest.warns(UserWarning, match=r"\.heic \(1\); images end in") as said:
        d2l.ImageFolder(copy, resize=(2, 2))
    assert [warning.filename for warning in said] == [__file__]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 4}, r"channels must be 1 \(grey\) or 3 \(RGB\); got 4"),
        ({"channels": True}, r"channels must be 1 \(grey\) or 3 \(RGB\); got True"),
        ({"resize": 64}, r"resize must be \(height, width\) in pixels"),
        ({"val_share": 1.5}, "val_share must be a finite number from 0 to 1; got 1.5"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1; got 0"),
        ({"memory_limit": -1}, "memory_limit must be a whole number of at least 0; got -1"),
    ],
)
def test_bad_arguments_are_refused(photos: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        d2l.ImageFolder(photos, **options)


def test_a_cache_that_cannot_be_written_is_named(photos: Path) -> None:
    with pytest.raises(OSError, match="/proc"):
        d2l.ImageFolder(photos, memory_limit=0, cache="/proc/none")


def test_labels_have_names_and_colour_images_can_be_shown(photos: Path) -> None:
    for channels in (1, 3):
        data = d2l.ImageFolder(photos, resize=(8, 8), channels=channels)
        batch = next(iter(data.val_dataloader()))
        assert data.text_labels(batch[1][6:10]) == ["circle", "circle", "square", "square"]
        data.visualize(batch)


@pytest.mark.slow
def test_a_model_learns_circles_from_squares_that_are_in_a_file(
    photos: Path, tmp_path: Path
) -> None:
    class Small(d2l.Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.net = keras.Sequential(
                [
                    keras.layers.Conv2D(8, 5, activation="relu"),
                    keras.layers.MaxPooling2D(2),
                    keras.layers.Conv2D(16, 5, activation="relu"),
                    keras.layers.GlobalMaxPooling2D(),
                    keras.layers.Dense(2),
                ]
            )

        def configure_optimizers(self) -> Any:
            return keras.optimizers.Adam(0.01)

    data = d2l.ImageFolder(photos, batch_size=8, resize=(24, 24), memory_limit=0, cache=tmp_path)
    history = d2l.Trainer(max_epochs=12, jit_compile=False, enable_progress_bar=False).fit(
        Small(), data
    )
    # 57 % of the validation images are circles.
    assert history["val_acc"][-1] >= 0.9
