"""tfd2l/book/models/arguments.py: the models' arguments are checked by name."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import tfd2l as d2l
from tfd2l.book.models.arguments import checked


def test_positional_and_named_arguments_become_python_numbers() -> None:
    size: Any = np.int64(4)
    rate: Any = np.float32(0.5)
    model = d2l.MLPScratch(size, 3, num_hiddens=size, lr=rate)
    kinds = {name: type(model.hparams[name]) for name in ("num_inputs", "num_hiddens", "lr")}
    assert kinds == {"num_inputs": int, "num_hiddens": int, "lr": float}


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("num_hiddens_1", 0, "num_hiddens_1 must be a whole number of at least 1; got 0"),
        ("num_outputs", 2.0, r"num_outputs must be a whole number of at least 1; got 2\.0"),
        ("dropout_2", 1.5, r"dropout_2 must be a finite number from 0 to 1; got 1\.5"),
        ("lr", 0, "lr must be a finite number above 0; got 0"),
    ],
)
def test_an_argument_out_of_range_is_refused_by_its_name(
    argument: str, value: float, rule: str
) -> None:
    arguments = {
        "num_outputs": 3, "num_hiddens_1": 2, "num_hiddens_2": 2,
        "dropout_1": 0.5, "dropout_2": 0.5, "lr": 0.1,
    }  # fmt: skip
    for model in (d2l.DropoutMLPScratch, d2l.DropoutMLP):
        with pytest.raises(ValueError, match=rule):
            model(**{**arguments, argument: value})  # type: ignore[arg-type]


def test_a_call_that_does_not_fit_is_refused_in_python_s_own_words() -> None:
    with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required positional .*'lr'"):
        d2l.MLP(3, 2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"__init__\(\) got an unexpected keyword .*'depth'"):
        d2l.MLP(3, 2, lr=0.1, depth=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"__init__\(\) takes 4 positional arguments but 5 were"):
        d2l.MLP(3, 2, 0.1, 1)  # type: ignore[call-arg]


def test_the_constructor_keeps_its_signature() -> None:
    assert [*inspect.signature(d2l.DropoutMLP).parameters] == [
        "num_outputs", "num_hiddens_1", "num_hiddens_2", "dropout_1", "dropout_2", "lr"
    ]  # fmt: skip


def test_an_argument_without_a_rule_is_refused_when_the_class_is_defined() -> None:
    with pytest.raises(TypeError, match="Deep.__init__ has arguments without a rule: {'depth'}"):

        class Deep:
            @checked
            def __init__(self, depth: int, lr: float) -> None:
                """Never runs."""
