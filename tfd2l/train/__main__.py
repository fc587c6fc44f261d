"""`python -m tfd2l.train`; see `command`."""

import gc
import os
import signal
import sys

from tfd2l.train.command import main

if __name__ == "__main__":
    status = main()
    # The run is over and reported: Ctrl-C while Python shuts down has nothing left to interrupt.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if status != 0 and "TF_CONFIG" in os.environ:
        # TensorFlow would wait for workers that have stopped.
        sys.stdout.flush()
        os._exit(status)
    # At exit, no object needs to be looked through once more.
    gc.freeze()
    sys.exit(status)
