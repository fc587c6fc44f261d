"""Loads a version of a model and runs its signatures, by the runtime's C API.

The development server and `predict` share it; neither HTTP nor JSON appears here.
"""

from __future__ import annotations

import ctypes
import logging
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfd2l.common.errors import Tfd2lError
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

__all__ = ["LoadedVersion", "ModelError"]

Array = np.ndarray[Any, Any]

_LOG = logging.getLogger(__name__)

# The names that outputs may have for a method; None allows any.
_OUTPUTS = {"predict": None, "classify": {"classes", "scores"}, "regress": {"outputs"}}
_INVALID_ARGUMENT = 3


class ModelError(Tfd2lError):
    """A call that the signature or the runtime refuses.

    Attributes:
        code: the runtime's TF_Code, tensorflow/c/tf_status.h; 3 is INVALID_ARGUMENT.
    """

    def __init__(self, text: str, code: int = _INVALID_ARGUMENT) -> None:
        super().__init__(text)
        self.code = code


class LoadedVersion:
    """A version in memory.

    Threads may call it at the same time. The memory is freed with the last reference to it.

    Attributes:
        model: the model's name.
        number: the version's number.
        signatures: by name.
        signature_defs: JSON values of the protos, by name.
    """

    def __init__(
        self, library: ctypes.CDLL, directory: Path, model: str | None = None, number: int = 0
    ) -> None:
        """Load a version and run its warm-up file.

        Args:
            library: from `c_api.load_library`.
            directory: of the version.
            model: the model's name; by default that of the directory above.
            number: the version's number.

        Raises:
            ExportError: it can't be loaded, differs from what was published, lacks the files of
                its variables, or a request of the warm-up file fails.
        """
        self.model = model or directory.parent.name
        self.number = number
        try:
            check_files(directory)
        except DamagedError as error:
            raise ExportError(str(error)) from error
        self.signatures = read_signatures(directory)
        self.signature_defs = read_signature_defs(directory)
        _require_variables(directory)
        _log_missing_safeguards(directory)
        try:
            self._session = Session(library, str(directory))
        except SessionError as error:
            raise ExportError(f"{directory} can't be loaded: {error}") from error
        # Not at the end of the process: a thread may still run it.
        weakref.finalize(self, self._session.close).atexit = False
        self._warm_up(directory / WARMUP_FILE)

    def signature(self, name: str) -> Signature:
        """Return the signature of this name; ModelError if there is none."""
        if name not in self.signatures:
            raise ModelError(
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
            signature_name: of the signature.
            inputs: an array for each input, by its name; strings as dtype object (bytes).

        Returns:
            Arrays by output name; for Classify and Regress the outputs that these read.

        Raises:
            ModelError: the signature is missing or not for this method, or the runtime refuses the
                inputs.
        """
        signature = self.signature(signature_name)
        _require_inputs(signature_name, signature, inputs)
        wanted = _OUTPUTS[method]
        fetches = {
            name: spec.tensor
            for name, spec in signature.outputs.items()
            if wanted is None or name in wanted
        }
        if not fetches or (wanted is not None and len(signature.outputs) > len(wanted)):
            raise ModelError(
                f"Expected outputs of {method} are {sorted(wanted or ())}; signature "
                f"{signature_name!r} has {sorted(signature.outputs)}"
            )
        feeds = {signature.inputs[name].tensor: array for name, array in inputs.items()}
        try:
            return self._session.run(feeds, fetches)
        except SessionError as error:
            raise ModelError(str(error), error.code) from error

    def _warm_up(self, path: Path) -> None:
        """Run the requests of the warm-up file, if there is one."""
        if not path.exists():
            return
        for number, request in enumerate(read_warmup(path)):
            try:
                self.call(request.method, request.signature, request.inputs)
            except ModelError as error:
                raise ExportError(f"request {number} of {path} fails: {error}") from error


def _require_inputs(signature_name: str, signature: Signature, inputs: Mapping[str, Array]) -> None:
    """Refuse a call whose inputs aren't those of the signature."""
    if set(inputs) != set(signature.inputs):
        raise ModelError(
            f"inputs must be those of signature {signature_name!r}: {sorted(signature.inputs)}; "
            f"got {sorted(inputs)}"
        )


def _require_variables(directory: Path) -> None:
    """Refuse an incomplete copy: the runtime would load it and then fail every request."""
    index = directory / "variables" / "variables.index"
    if has_variables(directory) and not index.is_file():
        raise ExportError(
            f"a graph with variables needs the file of their values; {index} is missing. Copy the "
            "whole version under another name, and rename that to the next number."
        )


def _log_missing_safeguards(directory: Path) -> None:
    """Log which files of `publish` are missing; a version may do without them."""
    for file, lost in [
        (CHECKSUMS_FILE, "so damage to its files can't be noticed"),
        (WARMUP_FILE, "so it answers untested, and its first request is slow"),
    ]:
        if not (directory / file).exists():
            _LOG.info("%s comes without %s, %s", directory, file, lost)
