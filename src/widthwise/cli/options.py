"""What several commands share: options, and what is printed unless it is to be quiet."""

from typing import Annotated, Any

import typer

from widthwise.cli.streams import write_line


def option(help: str, metavar: str, *names: str) -> Any:
    """An option that need not be given; `help` says what holds without it."""
    return typer.Option(*names, metavar=metavar, help=help, show_default=False)


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
LogColumns = Annotated[
    str | None,
    option("What the columns of logs are called, by role.", "width=d_model,step=_step,...", "--columns"),
]


def tell(text: str, quiet: bool) -> None:
    """Print, unless it is to be quiet."""
    if not quiet:
        write_line(text)
