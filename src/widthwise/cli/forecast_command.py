"""The command `forecast` as it is typed; everything heavy is imported inside."""

from typing import Annotated

import typer

from widthwise.cli.guard import guarded
from widthwise.cli.options import LogColumns, Quiet, option, tell
from widthwise.cli.progress_bar import open_progress
from widthwise.cli.streams import write_line

EPILOG = (
    "Examples: widthwise forecast runs/digits --width 4096 | "
    "widthwise forecast losses.csv --columns width=d_model,loss=val_loss --width 2048 --step 20000"
)


def forecast(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="A run's folder, records.zarr stores or their URLs, recorded runs, logs of losses.",
            show_default=False,
        ),
    ],
    width: Annotated[list[int], option("A width to foretell; may be repeated.", "N", "--width")],
    step: Annotated[
        int | None, option("The step that is printed; the last one if not given.", "T", "--step")
    ] = None,
    out: Annotated[
        str | None,
        option("Where results go; the folder asked about, or forecast/, if not given.", "DIR", "--out"),
    ] = None,
    columns: LogColumns = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print forecast.json in place of the table.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """What loss will a width reach that was not trained? With intervals, tested on widths left out.

    Writes DIR/forecast.json and DIR/report.html. Exit status: 0 the backtest held; 1 it broke: do not trust
    the forecast; 3 too little data; 2 a wrong call or a bad input.
    """
    with guarded() as guard:
        from widthwise.cli import forecast as forecasting
        from widthwise.report.forecast.forecast_file import forecast_text

        directory = forecasting.folder_for(paths, out)
        guard.directory = directory
        with open_progress(quiet) as progress:
            found = forecasting.run_forecast(paths, columns, width, directory, progress)
        forecasting.position(found, step)
        if as_json:
            write_line(forecast_text(found).rstrip("\n"))
        else:
            files = f"forecast: {directory / 'forecast.json'}\nreport: {directory / 'report.html'}"
            tell(f"{forecasting.render(found, step)}\n\n{files}", quiet)
    raise typer.Exit(forecasting.STATUS[found.attrs["verdict"]])
