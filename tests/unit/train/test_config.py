"""The typed settings: their defaults, and errors in words of ours."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tfd2l.train.settings.config import ConfigError, TrainConfig, about, from_settings


def test_the_defaults_are_the_books() -> None:
    config = from_settings({})
    assert (config.model, config.epochs, config.batch_size, config.lr) == ("mlp", 10, 256, 0.1)
    assert (config.num_hiddens, config.resize) == (256, (28, 28))


@pytest.mark.parametrize(
    ("settings", "resize", "lr"),
    [
        ({"data": "photos"}, (64, 64), 0.01),
        ({"data": "houses.csv", "target": "Price"}, (28, 28), 0.01),
        ({"data": "photos", "optimizer": "adam"}, (64, 64), 0.001),
        ({"data": "photos", "lr": 0.2, "resize": 8}, (8, 8), 0.2),
    ],
)
def test_own_data_have_defaults_of_their_own(
    settings: dict[str, object], resize: tuple[int, int], lr: float
) -> None:
    config = from_settings(settings)
    assert (config.epochs, config.batch_size, config.resize, config.lr) == (20, 32, resize, lr)


def test_the_configuration_is_frozen_and_survives_json() -> None:
    config = from_settings({"resize": "32x48", "run_dir": "somewhere"})
    with pytest.raises(ValidationError, match="frozen"):
        config.epochs = 3
    assert TrainConfig(**json.loads(config.model_dump_json())) == config


def test_every_setting_says_what_it_is_and_what_it_must_be() -> None:
    for name, field in TrainConfig.model_fields.items():
        assert field.description, name
        assert {"group", "rule", "metavar"} <= {*about(name)}, name


def test_each_mistake_is_a_sentence_with_the_place_of_the_setting() -> None:
    settings = {"epochs": 0, "lr": "fast", "epocs": 1}
    with pytest.raises(ConfigError) as error:
        from_settings(settings, {"epochs": "--epochs", "lr": "my.toml: lr"})
    assert str(error.value) == (
        "--epochs must be a whole number from 1 to 100,000; got 0. "
        "my.toml: lr must be a number from 1.2e-38 to 1,000,000; got 'fast'. "
        "epocs: no such setting; did you mean epochs?"
    )


# Values that pydantic refuses by each of its rules for these types, in words of its own.
REFUSED = [None, "", "\0", "x", "1.5", -1, 0.5, float("nan"), True, [], [1, 2, 3], {"a": 1}, 10**30]


@pytest.mark.parametrize("name", TrainConfig.model_fields)
def test_no_word_of_pydantics_reaches_the_user(name: str) -> None:
    for value in REFUSED:
        try:
            from_settings({name: value})
        except ConfigError as error:
            # The other form: two settings exclude each other.
            if not str(error).startswith(f"{name} must be "):
                assert str(error)[0].islower()
            assert "nput should" not in str(error)
            assert "\n" not in str(error)


@given(st.dictionaries(st.sampled_from([*TrainConfig.model_fields, "x"]), st.text() | st.floats()))
def test_any_settings_are_accepted_or_refused_in_a_line(settings: dict[str, object]) -> None:
    try:
        from_settings(settings)
    except ConfigError as error:
        assert str(error).isprintable()
