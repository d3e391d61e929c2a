"""``python -m fedgen.cli``: the same as ``fedgen``."""

from fedgen.cli import main

main()
