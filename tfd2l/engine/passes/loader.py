"""A loader of the data module, with the passes of a step that are prepared over it."""

from __future__ import annotations

import operator
from typing import Any

from tfd2l.engine.loaders import indexed
from tfd2l.engine.passes.indexed import IndexedPass
from tfd2l.engine.passes.streamed import StreamedPass
from tfd2l.engine.tracing.step import Step

__all__ = ["Loader"]


class Loader:
    """A loader of the data module, and the passes of a step that were prepared over it.

    Attributes:
        batches: the loader itself, which a user's `fit_epoch` may replace between epochs.
        source: the data module that made it.
    """

    batches: Any = None
    source: Any = None
    _prepared: tuple[Any, IndexedPass | StreamedPass] | None = None

    @property
    def used_xla(self) -> bool:
        """True if XLA has compiled steps of a pass."""
        return self._prepared is not None and self._prepared[1].used_xla

    def passes(
        self, step: Step, num_passes: int, num_batches: int | None = None
    ) -> IndexedPass | StreamedPass:
        """The passes of `step`, prepared again when step or loader was replaced.

        Args:
            step: the step to run on each batch.
            num_passes: number of passes in the fit.
            num_batches: batches in a pass; None while that is unknown.
        """
        key = (step, self.batches)
        if self._prepared is None or any(map(operator.is_not, key, self._prepared[0])):
            examples = indexed(self.batches)
            prepared: IndexedPass | StreamedPass
            if examples is None:
                prepared = StreamedPass(step, self.batches, num_passes)
            else:
                prepared = IndexedPass(step, examples, num_passes)
            self._prepared = (key, prepared)
        found = self._prepared[1]
        if isinstance(found, StreamedPass):
            found.num_batches = num_batches
        return found
