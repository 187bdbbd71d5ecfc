"""`python -m instantlite.config`: prints docs/configuration.md; with `--example`, config.example.yaml."""

import sys

from instantlite import config

if __name__ == "__main__":
    sys.stdout.write(config.example() if "--example" in sys.argv[1:] else config.markdown())
