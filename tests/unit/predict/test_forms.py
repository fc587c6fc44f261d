"""The form of raw inputs by signatures and cards, new ones, older ones and none."""

from __future__ import annotations

from typing import Any

import pytest

from tfd2l.export.signature_types import Signature, TensorSpec
from tfd2l.predict.forms import ImageForm, RowForm, raw_form

LABEL = {"label": TensorSpec("", "string", (None,))}
NUMBER = {"prediction": TensorSpec("", "float32", (None,))}


def images(*shape: int) -> Signature:
    return Signature({"image": TensorSpec("image:0", "uint8", (None, *shape))}, LABEL)


@pytest.mark.parametrize(
    ("shape", "card", "framing", "is_guess"),
    [
        ((28, 28), {"input": {"kind": "image", "framing": "none"}}, "none", False),
        ((48, 64), {"input": {"kind": "image", "framing": "garment"}}, "garment", False),
        # Cards without the entry: the data's name says it.
        ((28, 28), {"data": {"name": "FashionMNIST"}}, "garment", False),
        ((28, 28), {"data": {"name": "Digits"}}, "none", False),
        ((28, 28), {"model": "mlp"}, "none", False),
        # A server tells no card.
        ((28, 28), {}, "garment", True),
        ((28, 28, 1), {}, "none", False),
        ((28, 28, 3), {}, "none", False),
        ((48, 64), {}, "none", False),
    ],
)
def test_the_card_says_how_images_are_framed(
    shape: tuple[int, ...], card: dict[str, Any], framing: Any, is_guess: bool
) -> None:
    assert raw_form(images(*shape), card) == ImageForm(shape, framing, is_guess)


def test_a_shape_has_its_channels() -> None:
    forms = [raw_form(images(*shape), {}) for shape in ((4, 6), (4, 6, 1), (4, 6, 3))]
    assert [form.channels for form in forms if isinstance(form, ImageForm)] == [1, 1, 3]
    any_height = TensorSpec("", "uint8", (None, None, 6, 3))
    form = raw_form(Signature({"image": any_height}, LABEL), {})
    assert isinstance(form, ImageForm)
    assert form.size == (28, 6)


def test_columns_of_numbers_and_texts_are_rows() -> None:
    columns = {
        "a b": TensorSpec("", "float32", (None,)),
        "image": TensorSpec("", "string", (None,)),
    }
    card = {"input": {"dialect": {"sep": ";"}}, "output": {"labels": ["no", "yes"]}}
    form = raw_form(Signature(columns, LABEL), card)
    assert form == RowForm(columns, ("no", "yes"), dialect={"sep": ";"})
    assert form.is_table
    form = raw_form(Signature(columns, NUMBER), {"input": {"columns": {"image": "", "gone": ""}}})
    assert form == RowForm(columns, is_number=True)
    # In the card's order, and then the signature's.
    assert [*form.columns] == ["image", "a b"]


def test_numbers_without_names_are_no_table() -> None:
    features = {"features": TensorSpec("", "float32", (None, 2))}
    form = raw_form(Signature(features, NUMBER), {})
    assert form == RowForm(features, is_number=True)
    assert not form.is_table
