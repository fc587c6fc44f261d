"""`tfd2l` or `python -m tfd2l`: lists the commands, or runs the one that is named, as `train`."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from tfd2l.common.commands import CommandParser, UsageError, run_command
from tfd2l.common.suggestions import did_you_mean

COMMANDS = {
    "train": "train a model, keep the run and export the model",
    "predict": "ask a served or an exported model for images or rows",
    "serve": "serve exported models, for development",
    "deploy": "write the files that start TensorFlow Serving, or a training job",
    "data_service": "start a tf.data service, which prepares batches for training",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names, or list the commands.

    Returns:
        The exit status: that of the command; 0 for the list, 2 for another name.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments and arguments[0] in COMMANDS:
        sys.argv = arguments
        # Ends with SystemExit.
        runpy.run_module(f"tfd2l.{arguments[0]}", run_name="__main__", alter_sys=True)
    return run_command(lambda: _list_commands(arguments))


def console_script() -> int:
    """The entry point of the console script `tfd2l`, by which its help names the commands."""
    CommandParser.launcher = "tfd2l "
    return main()


def _list_commands(arguments: Sequence[str]) -> int:
    if arguments and not arguments[0].startswith("-"):
        meant = did_you_mean(arguments[0], COMMANDS)
        raise UsageError(f"no such command: {arguments[0]}{meant} (--help lists the commands)")
    parser = CommandParser(
        "",
        "COMMAND ...",
        "Dive into Deep Learning on today's TensorFlow: train a model, export it and serve it.",
        ["train --epochs 3", "predict boot.png --model savedmodels/mlp", "train --help"],
    )
    group = parser.add_argument_group("commands")
    for name, text in COMMANDS.items():
        # For the list; main() has run a command that is named.
        group.add_argument(name, nargs="?", help=text)
    parser.parse_args(arguments)
    parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
