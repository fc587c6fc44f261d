"""A version of a model that is loaded and answers, by the runtime's C API."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfd2l.export.c_api import Session, SessionError
from tfd2l.export.checksums import CHECKSUMS_FILE, DamagedError, check_files
from tfd2l.export.saved_model import (
    ExportError,
    Signature,
    has_variables,
    read_signature_defs,
    read_signatures,
)
from tfd2l.export.warmup import WARMUP_FILE, read_warmup
from tfd2l.serve.json_values import RestError, refuse

__all__ = ["LoadedVersion"]

Array = np.ndarray[Any, Any]

_LOG = logging.getLogger(__name__)

# Statuses of HTTP by TF_Code, as in TensorFlow Serving's http_server.cc; others are 500.
_STATUSES = {
    1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501,
    14: 503, 16: 401,
}  # fmt: skip
# What an output must be named for a call; None takes any.
_OUTPUTS = {"predict": None, "classify": {"classes", "scores"}, "regress": {"outputs"}}


class LoadedVersion:
    """A version in memory.

    Threads may call it at the same time. `close` frees the memory.

    Attributes:
        model: the model's name.
        number: the version's.
        signatures: by name.
        signature_defs: JSON values of the protos, by name.
    """

    def __init__(
        self, library: ctypes.CDLL, directory: Path, model: str | None = None, number: int = 0
    ) -> None:
        """Load a version and run its warm-up file.

        Args:
            library: see `load_check.load_library`.
            directory: the version's.
            model: the model's name; by default that of the directory above.
            number: the version's.

        Raises:
            ExportError: it can't be served, is not as it was published, lacks the files of its
                variables, or a request of the warm-up file fails.
        """
        self.model, self.number = model or directory.parent.name, number
        try:
            check_files(directory)
        except DamagedError as error:
            raise ExportError(str(error)) from error
        self.signatures = read_signatures(directory)
        self.signature_defs = read_signature_defs(directory)
        _require_variables(directory)
        _tell_what_is_missing(directory)
        try:
            self._session = Session(library, str(directory))
        except SessionError as error:
            raise ExportError(f"{directory} can't be loaded: {error}") from error
        try:
            self._warm_up(directory / WARMUP_FILE)
        except ExportError:
            self._session.close()
            raise

    def signature(self, name: str) -> Signature:
        """The signature of this name; RestError 400 if there is none."""
        if name not in self.signatures:
            refuse(
                f"Serving signature name: {name[:100]!r} not found in signature def; this "
                f"version has {sorted(self.signatures)}"
            )
        return self.signatures[name]

    def call(
        self, method: str, signature_name: str, inputs: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Run a signature.

        Args:
            method: 'predict', 'classify' or 'regress'.
            signature_name: the signature's.
            inputs: arrays by input name, one for each; strings as dtype object (bytes).

        Returns:
            Arrays by output name: for Classify and Regress the outputs that these take.

        Raises:
            RestError: the signature is not there or not for this call, or the runtime refuses the
                inputs; the status is TensorFlow Serving's.
        """
        signature = self.signature(signature_name)
        _require_inputs(signature_name, signature, inputs)
        wanted = _OUTPUTS[method]
        fetches = {
            name: spec.tensor
            for name, spec in signature.outputs.items()
            if wanted is None or name in wanted
        }
        if not fetches or len(signature.outputs) > len(wanted or signature.outputs):
            refuse(
                f"Expected outputs of {method} are {sorted(wanted or ())}; signature "
                f"{signature_name!r} has {sorted(signature.outputs)}"
            )
        feeds = {signature.inputs[name].tensor: array for name, array in inputs.items()}
        try:
            return self._session.run(feeds, fetches)
        except SessionError as error:
            raise RestError(_STATUSES.get(error.code, 500), str(error)) from error

    def close(self) -> None:
        """Free the memory, once, when no call is under way and none will follow."""
        self._session.close()

    def _warm_up(self, path: Path) -> None:
        """Run the requests of the warm-up file, if there is one."""
        if not path.exists():
            return
        for number, request in enumerate(read_warmup(path)):
            try:
                self.call(request.method, request.signature, request.inputs)
            except RestError as error:
                raise ExportError(f"request {number} of {path} fails: {error}") from error


def _require_inputs(signature_name: str, signature: Signature, inputs: Mapping[str, Array]) -> None:
    """Refuse a call whose inputs aren't those of the signature."""
    if set(inputs) != set(signature.inputs):
        refuse(
            f"inputs must be those of signature {signature_name!r}: {sorted(signature.inputs)}; "
            f"got {sorted(inputs)}"
        )


def _require_variables(directory: Path) -> None:
    """Refuse half a copy that the runtime would load, to answer nothing ever after."""
    index = directory / "variables" / "variables.index"
    if has_variables(directory) and not index.is_file():
        raise ExportError(
            f"a graph with variables needs the file of their values; {index} is missing. Copy the "
            "whole version under another name, and rename that to the next number."
        )


def _tell_what_is_missing(directory: Path) -> None:
    """Log which safeguards of `publish` a version comes without; it may."""
    for file, lost in [
        (CHECKSUMS_FILE, "so nothing tells whether its files are as they were written"),
        (WARMUP_FILE, "so it was not tried before it answers, and its first request is slow"),
    ]:
        if not (directory / file).exists():
            _LOG.info("%s comes without %s, %s", directory, file, lost)
