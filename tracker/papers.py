"""The commands that write files: reports and exports."""

from pathlib import Path

import typer

from ard.adapters import console
from ard.adapters.console import configured, count, put, say
from ard.errors import InvalidInput
from ard.rows import OddRow
from ard.settings import TableSettings
from tracker.follow import find_job
from tracker.options import GeojsonOption, JobOption, ParquetOption, PlotOption, ReportDirOption, regions_of, say_odd
from tracker.report.files import whole_text
from tracker.report.write import PAGE, PLOTS, write_report
from tracker.services import open_table

STDOUT = Path("-")


def report(*, job: JobOption, report_dir: ReportDirOption = Path("job_reports"), plot: PlotOption = False) -> None:
    """Write a job's report and print its folder."""
    settings = configured(TableSettings)
    table = open_table(settings)
    row = find_job(table, job)
    memory_mb = {product: queue.memory_mb for product, queue in settings.queues.items()}
    odd = list[OddRow]()
    written = write_report(
        row,
        table.tasks(row, odd=odd.append),
        report_dir / job,
        now=console.now(),
        regions=regions_of(settings),
        memory_mb=memory_mb,
        odd=odd,
        plot=plot,
    )
    put(f"{written.folder}\n")
    summary = written.summary
    say(f"{summary.outcome}: {summary.counts.ended:,} of {count(summary.counts.total, 'task')} ended")
    say(f"open it: {written.folder / PAGE}")
    if plot:
        where = f" in {written.folder / PLOTS}" if written.plots else ": nothing has run yet"
        say(count(written.plots, "plot") + where)
    say_odd(odd)
    if not summary.ended:
        say(f"the job goes on; when it has ended: tracker report --job {job}")


def export(*, job: JobOption, geojson: GeojsonOption = None, parquet: ParquetOption = None) -> None:
    """Write a job's tasks as GeoJSON or GeoParquet: a polygon for each tile, year and product."""
    if (geojson is None) == (parquet is None):
        raise typer.BadParameter("expected either --geojson FILE or --parquet FILE")
    if parquet == STDOUT:
        raise typer.BadParameter("expected a file for --parquet; only --geojson can be written to -")
    # pyarrow is loaded for this command only: it takes its time.
    from tracker.report.export import geojson_lines, write_parquet  # noqa: PLC0415

    settings = configured(TableSettings)
    table = open_table(settings)
    row = find_job(table, job)
    odd = list[OddRow]()
    rows, now, regions = table.tasks(row, odd=odd.append), console.now(), regions_of(settings)
    if parquet is not None:
        written = write_parquet(row, rows, parquet, now=now, regions=regions)
        say(f"{count(written, 'task')} in {parquet}")
        say_odd(odd)
        return
    lines = (f"{line}\n" for line in geojson_lines(row, rows, now=now, regions=regions))
    if geojson is None or geojson == STDOUT:
        for line in lines:
            put(line)
        say_odd(odd)
        return
    try:
        with whole_text(geojson) as file:
            file.writelines(lines)
    except OSError as error:
        raise InvalidInput(f"expected a file that can be written at {str(geojson)!r}: {error.strerror}") from error
    say(f"{count(row.tasks - len(odd), 'task')} in {geojson}")
    say_odd(odd)
