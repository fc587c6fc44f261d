"""`python -m tfd2l.data_service`; see `command`."""

import sys

from tfd2l.data_service.command import main

if __name__ == "__main__":
    sys.exit(main())
