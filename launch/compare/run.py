"""`assay compare`: the tables and curves of several runs side by side, in the terminal, as files and as a page."""

from pathlib import Path

from conf.schema import CompareConfig
from launch.compare.held_out import heldout_warning
from launch.compare.page import compare_page
from launch.compare.runs import read_runs
from launch.compare.tables import as_csv, as_markdown, config_table, summary_table
from launch.run.folder import METRICS
from rl.faults import UserError


def main(config: CompareConfig) -> int:
    """Write compare.html and its tables, print the tables; the last printed line names the page."""
    runs, folder = read_runs(config.runs), Path(config.output)
    if (folder / METRICS).exists():
        raise UserError(f"output={folder} holds a run; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    tables = [summary_table(runs), config_table(runs)]
    for table in tables:
        (folder / f"{table.name}.csv").write_text(as_csv(table), encoding="utf-8")
    warning = heldout_warning(runs)
    told = "\n".join([*([f"Warning: {warning}.\n"] if warning else []), *map(as_markdown, tables)])
    (folder / "compare.md").write_text(told, encoding="utf-8")
    page = folder / "compare.html"
    page.write_text(compare_page(folder, runs, tables, warning), encoding="utf-8", errors="replace")
    print(told)
    print(f"comparison: {page}")
    return 0
