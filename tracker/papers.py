"""The commands that write files: reports."""

from pathlib import Path

from ard.adapters import console
from ard.adapters.console import configured, count, put, say
from ard.settings import TableSettings
from tracker.follow import find_job
from tracker.options import JobOption, PlotOption, ReportDirOption, regions_of
from tracker.report import PLOTS, write_report
from tracker.services import open_table


def report(*, job: JobOption, report_dir: ReportDirOption = Path("job_reports"), plot: PlotOption = False) -> None:
    """Write a job's report and print its folder."""
    settings = configured(TableSettings)
    table = open_table(settings)
    row = find_job(table, job)
    regions, rows = regions_of(settings), table.tasks(row)
    written = write_report(row, rows, report_dir / job, now=console.now(), regions=regions, plot=plot)
    put(f"{written.folder}\n")
    summary = written.summary
    say(f"{summary.outcome}: {summary.counts.ended:,} of {count(summary.counts.total, 'task')} ended")
    if plot:
        where = f" in {written.folder / PLOTS}" if written.plots else ": nothing has run yet"
        say(count(written.plots, "plot") + where)
    if not summary.ended:
        say(f"the job goes on; when it has ended: tracker report --job {job}")
