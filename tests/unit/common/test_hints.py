"""tfd2l/common/hints.py: the errors for names of other frameworks, where a user meets them."""

from __future__ import annotations

import importlib

import pytest
import tensorflow as tf

import tfd2l as d2l
from tfd2l.common import hints


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("to", r"d2l\.Trainer\(num_gpus=1\)"),
        ("zero_grad", "nothing to clear"),
        ("fit", r"d2l\.Trainer\(max_epochs=10\)\.fit\(model, data\)"),
        ("save", "save_weights"),
    ],
)
def test_a_model_names_the_idiom_for_what_it_lacks(name: str, words: str) -> None:
    model = d2l.MLP(2, 3, lr=0.1)
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=f"'MLP' object has no attribute '{name}': .*{words}"):
        getattr(model, name)


def test_no_hint_hides_what_a_class_has() -> None:
    model, sgd = d2l.Classifier(), d2l.SGD(0.1)
    assert [name for name in hints.MODEL if hasattr(model, name)] == []
    assert [name for name in hints.OPTIMIZER if hasattr(sgd, name)] == []
    assert [name for name in hints.LIBRARY if hasattr(d2l, name)] == []


def test_the_optimizer_names_the_idiom_of_a_step() -> None:
    sgd = d2l.SGD(0.1)
    with pytest.raises(AttributeError, match=r"'step': .*apply_gradients\(zip"):
        sgd.step()
    with pytest.raises(AttributeError, match=r"'SGD' object has no attribute 'momentum'$"):
        sgd.momentum  # noqa: B018


@pytest.mark.parametrize("arguments", [((1, 2), 0.1), ([tf.Variable(1.0)],)])
def test_sgd_refuses_variables_in_place_of_the_rate(arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match=r"SGD\(lr=0\.03\).*apply_gradients\(zip\(gradients"):
        d2l.SGD(*arguments)
    with pytest.raises(TypeError, match="SGD takes the learning rate alone"):
        d2l.SGD(d2l.MLPScratch(2, 2, 2, lr=0.1).parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lenet", r"Did you mean LeNet\?"),
        ("Clasifier", r"Did you mean Classifier"),
        ("Vocab", r"no 'Vocab'\. It has the names of the book's chapters 2 to 8"),
        ("train_ch3", r"d2l\.Trainer\(max_epochs=10\)\.fit"),
        ("torch", "import tfd2l as d2l"),
    ],
)
def test_the_package_names_what_is_near_also_in_an_import_line(name: str, words: str) -> None:
    assert not hasattr(d2l, name)
    with pytest.raises(AttributeError, match=words):
        getattr(d2l, name)
    with pytest.raises(ImportError, match=words):
        exec(f"from tfd2l import {name} as d2l")


def test_parts_of_the_package_are_imported_as_before() -> None:
    exec("from tfd2l import predict, common")
    with pytest.raises(AttributeError, match="__no_name__"):
        getattr(d2l, "__no_name__")  # noqa: B009 - mypy knows the names
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tfd2l.torch")
