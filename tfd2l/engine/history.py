"""A fit's metrics by epoch: a table that draws itself."""

from __future__ import annotations

import math
from html import escape
from typing import Any

import pydantic_core

from tfd2l.common.figures import LINE_STYLES, figure_of, new_figure, show_figure

__all__ = ["History"]

_NOT_DRAWN = ("epoch", "seconds")


class History(dict[str, list[float]]):
    """A fit's metrics: a list for each column, with one entry for each epoch."""

    def append_row(self, row: dict[str, float]) -> None:
        """Add an epoch; a column that starts late or pauses has NaN where it has no value."""
        num_rows = max((len(column) for column in self.values()), default=0)
        for name in {**self, **row}:
            if name not in self:
                self[name] = [math.nan] * num_rows
            self[name].append(row.get(name, math.nan))

    def plot(self, *names: str, figsize: tuple[float, float] = (3.5, 2.5)) -> Any:
        """Draw columns against the epochs and, in a notebook, show the picture.

        Args:
            names: columns; by default all but 'epoch' and 'seconds'.
            figsize: width and height in inches.

        Returns:
            matplotlib's axes, whose `figure.savefig(path)` writes the picture; None if the picture
            was shown, so that a cell's output is the picture.

        Raises:
            ValueError: the history has no epochs, or a column is missing.
        """
        chosen = names or tuple(name for name in self if name not in _NOT_DRAWN)
        missing = [name for name in chosen if name not in self]
        if missing or not chosen:
            wanted = f"no {missing[0]!r} to plot" if missing else "no metrics to plot"
            raise ValueError(f"the history has {wanted}; its columns are {list(self)}.")
        axes = new_figure(figsize).subplots()
        for number, name in enumerate(chosen):
            points = [
                point
                for point in zip(self["epoch"], self[name], strict=True)
                if not math.isnan(point[1])
            ]
            # A line through a single point would be invisible.
            marker = "o" if len(points) == 1 else ""
            x, y = zip(*points, strict=True) if points else ((), ())
            style = LINE_STYLES[number % len(LINE_STYLES)]
            axes.plot(x, y, linestyle=style, marker=marker, label=name)
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
        axes.legend()
        axes.grid()
        return None if show_figure(figure_of(axes)) else axes

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Validate like the dict that it is."""
        columns = handler.generate_schema(dict[str, list[float]])
        return pydantic_core.core_schema.no_info_after_validator_function(cls, columns)

    def _repr_html_(self) -> str:
        """The table that a notebook shows, with a row for each epoch."""
        head = "".join(f"<th>{escape(name)}</th>" for name in self)
        rows = "".join(
            f"<tr>{''.join(f'<td>{value:.4g}</td>' for value in row)}</tr>"
            for row in zip(*self.values(), strict=True)
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
