"""Yojohan: `python run.py [COMMAND]`. Everything else is in `server/`."""

import sys

from server.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
