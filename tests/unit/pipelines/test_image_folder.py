"""pipelines/image_folders/listing.py: layouts, classes, shares and errors, on empty files."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from pipelines.image_folders.listing import ImageFolderError, ImageListing, list_images, some_of


def tree(root: Path, *names: str) -> Path:
    """Make empty files; a name that ends in / is a folder."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    return root


def numbered(label: str, count: int) -> list[str]:
    return [f"{label}/{number:03}.jpg" for number in range(count)]


def names(listing: ImageListing) -> tuple[list[str], list[str]]:
    return [file.name for file in listing.train], [file.name for file in listing.val]


def test_classes_are_the_folders_in_the_order_of_their_names(tmp_path: Path) -> None:
    tree(tmp_path, "dog/1.jpg", "cat/b.PNG", "cat/a.webp", "Ant/1.gif", "Ant/2.bmp", "Ant/3.jpeg")
    listing = list_images(tmp_path, val_share=0)
    assert listing.labels == ("Ant", "cat", "dog")
    assert [(file.name, file.label) for file in listing.train] == [
        ("Ant/1.gif", 0), ("Ant/2.bmp", 0), ("Ant/3.jpeg", 0), ("cat/a.webp", 1),
        ("cat/b.PNG", 1), ("dog/1.jpg", 2),
    ]  # fmt: skip
    assert listing.train[0].path == tmp_path / "Ant/1.gif"
    assert not listing.val
    assert not listing.notes


def test_the_share_is_taken_of_each_class(tmp_path: Path) -> None:
    # 0.2 of 10, 13, 2 and 1 images: 2, 2.6 -> 3, 0.4 -> at least 1, and none of a single one.
    tree(tmp_path, *numbered("a", 10), *numbered("b", 13), *numbered("c", 2), *numbered("d", 1))
    listing = list_images(tmp_path)
    assert Counter(file.label for file in listing.val) == {0: 2, 1: 3, 2: 1}
    assert Counter(file.label for file in listing.train) == {0: 8, 1: 10, 2: 1, 3: 1}
    assert not {file.name for file in listing.train} & {file.name for file in listing.val}
    assert listing.notes == ("classes with a single image have none in the validation: d.",)
    # A class keeps one image for training.
    assert Counter(f.label for f in list_images(tmp_path, val_share=1).train) == dict.fromkeys(
        range(4), 1
    )


def test_the_choice_depends_on_the_seed_and_the_names_of_the_class(tmp_path: Path) -> None:
    tree(tmp_path, *numbered("a", 40), *numbered("b", 40))
    train, val = names(list_images(tmp_path))
    assert (train, val) == names(list_images(tmp_path))
    assert val != names(list_images(tmp_path, seed=1))[1]
    # Not the same numbers in each class.
    of_a = [name[2:] for name in val if name.startswith("a/")]
    assert of_a != [name[2:] for name in val if name.startswith("b/")]
    tree(tmp_path, *numbered("b", 60), *numbered("c", 5))
    assert [n[2:] for n in names(list_images(tmp_path))[1] if n.startswith("a/")] == of_a


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_a_folder_for_validation_replaces_the_share(tmp_path: Path, val: str) -> None:
    train = "Train" if val == "Val" else "train"
    tree(tmp_path, *numbered(f"{train}/cat", 3), *numbered(f"{train}/dog", 2), f"{val}/dog/1.jpg")
    listing = list_images(tmp_path, val_share=0.5)
    assert listing.labels == ("cat", "dog")
    assert len(listing.train) == 5
    # The class id is that of the training, though the folder is the first one here.
    assert [(file.name, file.label) for file in listing.val] == [(f"{val}/dog/1.jpg", 1)]


def test_a_folder_for_training_alone_is_shared_and_the_test_is_left(tmp_path: Path) -> None:
    tree(tmp_path, *numbered("train/cat", 5), *numbered("train/dog", 5), *numbered("test/dog", 5))
    listing = list_images(tmp_path)
    assert (len(listing.train), len(listing.val)) == (8, 2)
    assert all(file.name.startswith("train/") for file in listing.train + listing.val)
    assert listing.notes == (f"{tmp_path}/test is not read; it is for a test in the end.",)


def test_train_can_be_a_class_of_vehicles(tmp_path: Path) -> None:
    tree(tmp_path, *numbered("train", 2), *numbered("plane", 2), *numbered("bus", 2))
    assert list_images(tmp_path).labels == ("bus", "plane", "train")


def test_folders_below_a_class_belong_to_it_but_not_links_to_folders(tmp_path: Path) -> None:
    tree(tmp_path, "photos/cat/new/deep/1.jpg", "photos/dog/1.jpg", "elsewhere/2.jpg")
    (tmp_path / "photos/dog/link").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/dog/linked.jpg").symlink_to(tmp_path / "elsewhere/2.jpg")
    (tmp_path / "photos/emu").symlink_to(tmp_path / "elsewhere")
    train, _ = names(list_images(tmp_path / "photos", val_share=0))
    assert train == ["cat/new/deep/1.jpg", "dog/1.jpg", "dog/linked.jpg", "emu/2.jpg"]


def test_junk_is_passed_over_and_other_files_are_counted(tmp_path: Path) -> None:
    tree(
        tmp_path, "cat/1.jpg", "cat/Thumbs.db", "cat/.DS_Store", "cat/._1.jpg", "dog/1.jpg",
        "dog/.git/2.jpg", "dog/__MACOSX/3.jpg", "dog/desktop.ini", ".cache/1.jpg",
        "__MACOSX/cat/1.jpg", "README.md", "cat/a.heic", "cat/b.HEIC", "dog/notes.txt",
        "dog/LICENSE", "cover.png",
    )  # fmt: skip
    listing = list_images(tmp_path, val_share=0)
    assert names(listing)[0] == ["cat/1.jpg", "dog/1.jpg"]
    assert listing.notes == (
        f"images in {tmp_path} itself have no class, so they are not read: cover.png.",
        f"files of other kinds in {tmp_path} are not read, by the ends of their names: .heic (2), "
        ".txt (1), no ending (1); images end in .bmp, .gif, .jpeg, .jpg, .png, .webp.",
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], r"photos needs the folders of two classes at least; got none\. Give a folder with"),
        (["1.jpg"], r"photos has images, but no classes\. Give a folder with one sub-folder"),
        (["cat/1.jpg"], r"needs the folders of two classes at least; got cat alone\."),
        (["train/cat/1.jpg", "val/cat/1.jpg"], r"train needs the folders of two .* cat alone\."),
        (["cat/1.jpg", "dog/", "emu/1.tiff"], r"photos has no images of dog, emu; images end in"),
        (["val/cat/1.jpg", "val/dog/1.jpg"], r"two classes at least; got val alone\."),
        (
            [*numbered("train/a", 1), *numbered("train/b", 1), "val/c/1.jpg"],
            r"val has classes without training images: c\. Put some into train",
        ),
        (
            [*numbered("train/a", 1), *numbered("train/b", 1), "val/1.jpg"],
            r"val has no images in folders of classes\. Put some there, or remove it",
        ),
        (["train/a/1.jpg", "val/", "valid/"], r"photos has val and valid; keep one folder"),
        (["train/a/1.jpg", "val/", "cat/"], r"photos has train and val, and beside them cat;"),
    ],
)
def test_another_layout_is_refused_in_a_line(
    tmp_path: Path, files: list[str], message: str
) -> None:
    root = tree(tmp_path / "photos", "./", *files)
    with pytest.raises(ImageFolderError, match=message) as caught:
        list_images(root)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageFolderError, match=r"nowhere can't be read: No such file or directory"):
        list_images(tmp_path / "nowhere")
    (tmp_path / "photos.zip").touch()
    with pytest.raises(ImageFolderError, match=r"photos\.zip is a file\. Give a folder with one"):
        list_images(tmp_path / "photos.zip")
    with pytest.raises(ImageFolderError, match=r"can't be read: .*null"):
        list_images("photos\0")


def test_a_class_whose_name_is_not_utf_8_is_refused_but_a_file_is_not(tmp_path: Path) -> None:
    tree(tmp_path, "cat/1.jpg", "dog/1.jpg", os.fsdecode(b"cat/caf\xe9.jpg"))
    assert len(list_images(tmp_path, val_share=0).train) == 3
    tree(tmp_path, os.fsdecode(b"\xe9l\xe9phant/1.jpg"))
    with pytest.raises(ImageFolderError, match=r"must be UTF-8; rename .*\\udce9l\\udce9phant"):
        list_images(tmp_path)


def test_long_lists_of_names_are_cut() -> None:
    assert some_of([str(number) for number in range(10_000)]) == "0, 1, 2 and 9997 more"
    assert some_of(["a", "b\n"]) == "a, b"
