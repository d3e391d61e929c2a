"""``python -m fedgen.cli``: the same as ``fedgen``."""

from fedgen.cli import main

if __name__ == "__main__":  # a worker that is spawned imports this file, too
    main()
