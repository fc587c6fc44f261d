"""tfd2l/book/hyperparameters.py: constructor arguments, and nothing else, become attributes."""

from __future__ import annotations

import pytest
import tensorflow as tf

from tfd2l.book.hyperparameters import HyperParameters, add_to_class


class Base(HyperParameters):
    a: int

    def __init__(self, a: int, b: int = 2) -> None:
        local = a * 100
        self.save_hyperparameters(ignore=["b"])
        self.c = local


class Derived(Base):
    depth: int

    def __init__(self, a: int, extra: dict[int, int], *rest: int, **options: int) -> None:
        super().__init__(a=a + 1)
        self.save_hyperparameters()


def test_arguments_are_saved_but_not_ignored_ones_and_locals() -> None:
    base = Base(1)
    assert base.a == 1
    assert dict(base.hparams) == {"a": 1}
    assert not hasattr(base, "b")
    assert not hasattr(base, "local")


def test_a_subclass_merges_with_what_its_parent_saved() -> None:
    derived = Derived(1, {3: 4}, 5, 6, depth=7)
    # The subclass's own `a` comes last and wins, as its constructor saves last.
    assert dict(derived.hparams) == {"a": 1, "extra": {3: 4}, "rest": (5, 6), "depth": 7}
    assert derived.depth == 7


def test_saved_hyperparameters_are_frozen() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        Base(1).hparams["a"] = 5  # type: ignore[index]  # that it fails is the point


def test_tensorflow_does_not_wrap_saved_hyperparameters() -> None:
    class Tracked(tf.Module, HyperParameters):  # type: ignore[misc]  # TensorFlow has no types
        def __init__(self, widths: dict[int, list[int]]) -> None:
            super().__init__()
            self.save_hyperparameters()

    widths = {1: [2, 3]}
    tracked = Tracked(widths)
    assert tracked.hparams["widths"] is widths
    assert type(tracked.hparams["widths"][1]) is list


def test_an_argument_named_like_a_property_is_refused_by_name() -> None:
    class Named(HyperParameters):
        @property
        def size(self) -> int:
            return 1

        def __init__(self, size: int) -> None:
            self.save_hyperparameters()

    with pytest.raises(AttributeError, match=r"'size'.*Named.*ignore=\['size'\]"):
        Named(3)


def test_add_to_class_reaches_objects_made_before_and_returns_the_function() -> None:
    base = Base(1)

    @add_to_class(Base)
    def double(self: Base) -> int:
        return 2 * self.a

    assert base.double() == 2  # type: ignore[attr-defined]  # added at run time
    assert double(base) == 2
