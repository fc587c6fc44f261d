"""`models.config`: its text, by the server's own protos, and read back."""

from __future__ import annotations

import sys

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tfd2l.deploy.models import DeployError, ServedModel
from tfd2l.deploy.models_config import models_config, read_models_config

MODELS = [
    ServedModel("mlp", (3, 2**63 - 1), labels={"stable": 3, "canary": 2**63 - 1}),
    ServedModel("softmax.v2", keep=2),
    ServedModel("linear"),
]
TEXT = models_config(MODELS)


def test_the_written_text_is_read_back() -> None:
    assert read_models_config(TEXT) == {model.name: model for model in MODELS}


def test_other_spellings_of_the_same_configuration_are_read_too() -> None:
    config = text_format.Parse(TEXT, model_server_config_pb2.ModelServerConfig())
    # A field that is not read here.
    config.model_config_list.config[0].logging_config.sampling_config.sampling_rate = 0.5
    for short in (False, True):
        text = text_format.MessageToString(
            config, as_one_line=short, use_short_repeated_primitives=short
        )
        assert read_models_config(text) == {model.name: model for model in MODELS}


@pytest.mark.parametrize(
    ("policy", "keep"),
    [
        ("", 1),
        ("model_version_policy { latest {} }", 1),
        ("model_version_policy { latest { num_versions: 3 } }  # three", 3),
        ("model_version_policy: { all: {} }", sys.maxsize),
    ],
)
def test_other_policies_are_the_last_so_many(policy: str, keep: int) -> None:
    text = f"model_config_list {{ config {{ name: 'mlp' {policy}\n }} }}"
    assert read_models_config(text) == {"mlp": ServedModel("mlp", keep=keep)}


def test_an_empty_file_has_no_models() -> None:
    assert read_models_config("") == {}


@pytest.mark.parametrize(
    "text",
    [
        "model_config_list {", "no proto", "{}", "\ufffd",
        # A misspelt field, which the server refuses too.
        "model_config_list { config { name: 'mlp' base_pth: '/models/mlp' } }",
    ],
)  # fmt: skip
def test_any_other_text_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(DeployError, match=r"ModelServerConfig .*column 1:\d+.*deploy --force"):
        read_models_config(text)
