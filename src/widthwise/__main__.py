"""`python -m widthwise` is the command `widthwise`."""

from widthwise.cli import main

main()
