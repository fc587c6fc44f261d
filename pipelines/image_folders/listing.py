"""Lists the images below a folder, one sub-folder a class, and splits them. Opens no image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.basics.errors import Tfd2lError
from pipelines.basics.text import one_line

__all__ = ["SUFFIXES", "ImageFile", "ImageFolderError", "ImageListing", "list_images", "some_of"]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
_TRAIN, _TEST = "train", "test"
_VAL = ("val", "valid", "validation")
# Written by systems and archive programs beside a user's files.
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
_SYSTEM_FOLDERS = frozenset({"__macosx"})
_LAYOUT = "Give a folder with one sub-folder of images for each class, such as photos/cat/1.jpg."


class ImageFolderError(Tfd2lError, ValueError):
    """A folder of images is missing, is laid out otherwise, or has images that can't be read."""


@dataclass(frozen=True)
class ImageFile:
    """An image of a known class.

    Attributes:
        path: its path.
        name: its path below the root, with `/`.
        label: its class id.
    """

    path: Path
    name: str
    label: int


@dataclass(frozen=True)
class ImageListing:
    """The images below a folder.

    Attributes:
        labels: the names of the classes by class id, sorted.
        train: training images, by class and name.
        val: validation images, by class and name; may be empty.
        notes: a sentence for each thing that a user may not expect.
    """

    labels: tuple[str, ...]
    train: tuple[ImageFile, ...]
    val: tuple[ImageFile, ...]
    notes: tuple[str, ...]


def list_images(root: Path | str, *, val_share: float = 0.2, seed: int = 0) -> ImageListing:
    """List the images in `root/<label>/`, or in `root/train/<label>/` and `root/val/<label>/`.

    The second layout is taken if the root has a folder `train` and beside it, if anything, `val`
    (or `valid`, `validation`) and `test`, which is not read. The names of these may be in capitals.

    Sub-folders of a class belong to it; links to sub-folders are not followed, as in
    `keras.utils.image_dataset_from_directory`. Files are images by their names; hidden files and
    folders, and those that systems write, are passed over.

    Args:
        root: the folder.
        val_share: without a folder for validation, the share of each class that is for validation,
            from 0 to 1. It is rounded, but each class keeps an image for training and, if it has
            two and the share is above 0, one for validation.
        seed: a whole number of at least 0, from which the choice of validation images derives. The
            choice in a class depends on the names in this class alone.

    Raises:
        ImageFolderError: no such folder, another layout, fewer than two classes, a class without
            images or for validation only, or a class whose name is not UTF-8.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.png", "dog/notes.txt"):
        ...         Path(root, name).parent.mkdir(exist_ok=True)
        ...         Path(root, name).touch()
        ...     listing = list_images(root, val_share=0)
        >>> listing.labels, [(file.name, file.label) for file in listing.train]
        (('cat', 'dog'), [('cat/1.jpg', 0), ('cat/2.jpg', 0), ('dog/1.png', 1)])
    """
    root = Path(os.path.expanduser(root))  # noqa: PTH111 - pathlib's raises for unknown users
    others: Counter[str] = Counter()
    notes: list[str] = []
    train_folder, val_folder = _split_folders(root, notes)
    names = _classes(train_folder, others)
    labels = tuple(names)
    _check_classes(train_folder, names)
    if val_folder is None:
        train, val = _shares(names, val_share, seed)
        single = [label for label in labels if len(names[label]) == 1]
        if single and val_share:
            notes.append(
                f"classes with a single image have none in the validation: {some_of(single)}."
            )
    else:
        train, val = names, _classes(val_folder, others)
        _check_val(val_folder, labels, val)
    if others:
        notes.append(_note_of_others(root, others))
    return ImageListing(
        labels,
        _files(root, train_folder, labels, train),
        _files(root, val_folder or train_folder, labels, val),
        tuple(notes),
    )


def _note_of_others(root: Path, others: Counter[str]) -> str:
    by_count = sorted(others.items(), key=lambda kind: (-kind[1], kind[0]))
    kinds = some_of([f"{kind} ({count})" for kind, count in by_count], 5)
    return (
        f"files of other kinds in {one_line(str(root))} are not read, by the ends of their names: "
        f"{kinds}; images end in {', '.join(SUFFIXES)}."
    )


def some_of(names: Sequence[str], limit: int = 3) -> str:
    """Return the first names, and the number of the others.

    Example:
        >>> some_of(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    shown = ", ".join(one_line(name, 200) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _split_folders(root: Path, notes: list[str]) -> tuple[Path, Path | None]:
    """Return the folders of the classes for training and, if it is apart, for validation."""
    folders, images = _entries(root)
    kinds = {name.lower(): root / name for name in folders}
    val = [name for name in _VAL if name in kinds]
    others = [name for name in folders if name.lower() not in (_TRAIN, _TEST, *_VAL)]
    if _TRAIN not in kinds or (others and not val):
        if images:
            notes.append(
                f"images in {one_line(str(root))} itself have no class, so they are not read: "
                f"{some_of(images)}."
            )
        if folders or not images:
            return root, None
        raise ImageFolderError(f"{one_line(str(root))} has images, but no classes. {_LAYOUT}")
    place = one_line(str(root))
    if len(val) > 1:
        raise ImageFolderError(f"{place} has {' and '.join(val)}; keep one folder for validation.")
    if others:
        raise ImageFolderError(
            f"{place} has {_TRAIN} and {val[0]}, and beside them {some_of(others)}; move these "
            f"into {_TRAIN} or away."
        )
    if _TEST in kinds:
        notes.append(f"{one_line(str(kinds[_TEST]))} is not read; it is for a test in the end.")
    return kinds[_TRAIN], kinds[val[0]] if val else None


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of a folder's own sub-folders and images, sorted."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except NotADirectoryError:
        raise ImageFolderError(f"{one_line(str(folder))} is a file. {_LAYOUT}") from None
    except (OSError, ValueError) as error:  # a null character is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageFolderError(
            f"{one_line(str(folder))} can't be read: {reason}. {_LAYOUT}"
        ) from error
    folders = [name for name, is_folder in found if is_folder and not _is_system_folder(name)]
    return folders, [name for name, is_folder in found if not is_folder and _is_image(name)]


def _classes(folder: Path, others: Counter[str]) -> dict[str, list[str]]:
    """Return the images of each class by their names below its folder; count other files."""
    return {label: _images_below(folder / label, others) for label in _entries(folder)[0]}


def _images_below(folder: Path, others: Counter[str]) -> list[str]:
    names = []
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not _is_system_folder(name)]
        for name in files:
            path = Path(place, name)
            if _is_image(name):
                names.append(path.relative_to(folder).as_posix())
            elif not name.startswith(".") and name.lower() not in _SYSTEM_FILES:
                others[one_line(path.suffix.lower(), 20) or "no ending"] += 1
    return sorted(names)


def _unreadable(error: OSError) -> None:
    raise ImageFolderError(
        f"{one_line(str(error.filename))} can't be read: {error.strerror}."
    ) from error


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _is_system_folder(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def _check_classes(folder: Path, names: Mapping[str, Sequence[str]]) -> None:
    if len(names) < 2:
        found = f"got {some_of([*names])} alone" if names else "got none"
        raise ImageFolderError(
            f"{one_line(str(folder))} needs the folders of two classes at least; {found}. {_LAYOUT}"
        )
    for label in names:
        try:
            label.encode()
        except UnicodeEncodeError:
            raise ImageFolderError(
                f"the name of a class must be UTF-8; rename {one_line(str(folder / label))}."
            ) from None
    empty = [label for label in names if not names[label]]
    if empty:
        raise ImageFolderError(
            f"{one_line(str(folder))} has no images of {some_of(empty)}; images end in "
            f"{', '.join(SUFFIXES)}. Put some there, or remove the folder."
        )


def _check_val(folder: Path, labels: Sequence[str], val: Mapping[str, Sequence[str]]) -> None:
    unknown = [label for label in val if label not in set(labels)]
    if unknown:
        raise ImageFolderError(
            f"{one_line(str(folder))} has classes without training images: {some_of(unknown)}. "
            f"Put some into {_TRAIN}, or remove the folder."
        )
    if not any(val.values()):
        raise ImageFolderError(
            f"{one_line(str(folder))} has no images in folders of classes. Put some there, or "
            "remove it, and a share of the training images is taken."
        )


def _shares(
    names: Mapping[str, Sequence[str]], val_share: float, seed: int
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Divide the images of each class between training and validation."""
    train, val = {}, {}
    for label, of_class in names.items():
        count = round(val_share * len(of_class))
        if val_share > 0:
            count = min(max(count, 1), len(of_class) - 1)
        # A generator for each class: images that are added to one leave the others as they are.
        order = np.random.default_rng([seed, *label.encode()]).permutation(len(of_class))
        chosen = set(order[:count].tolist())
        val[label] = [name for i, name in enumerate(of_class) if i in chosen]
        train[label] = [name for i, name in enumerate(of_class) if i not in chosen]
    return train, val


def _files(
    root: Path, folder: Path, labels: Sequence[str], names: Mapping[str, Iterable[str]]
) -> tuple[ImageFile, ...]:
    files = []
    for number, label in enumerate(labels):
        for name in names.get(label, ()):
            path = folder / label / name
            files.append(ImageFile(path, path.relative_to(root).as_posix(), number))
    return tuple(files)
