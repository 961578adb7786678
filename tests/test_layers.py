"""Who may import whom, and which outside package may be imported where."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ccostdb"

# A module imports only from modules above it.
ORDER = """
    errors words machine stopping json_object loopback setting_values settings model clock resources kinds written
    frames windows.state windows.alignment windows.orientation windows.boots windows
    prices prices.names prices.plan prices.book prices.entries prices.genai prices.sync budgets.entries
    ledger
    sources.http_client sources.sse sources.cco sources.cco_stream sources.json_bounds sources.polling sources.samples
    sources.cca sources.ccd sources.finding sources.open_files
    sources.transcript_lines sources.claude_code sources.transcript_reader sources.transcript_files sources.ndjson
    views lock schema upgrade rollups store_rows store_batch store_names write_retry store
    logs daemon daemon.record daemon.background daemon.service_files daemon.service
    budgets.standing budgets
    health health.source_words health.vitals health.metrics health.endpoint
    ingest.outcome ingest.following ingest.punctuality ingest.ccd_rows ingest.ccd_lines ingest.ccd
    ingest.claude_code ingest.last_samples ingest.cca ingest.cco_overrides ingest.cco ingest
    reprice reports reports.prices reports.budgets reports.spending export.text export.parquet export.files
    export.cco_costs export statusline
    analysis.columns analysis.forecast analysis.charts analysis.figures analysis notebooks
    jobs jobs.prune jobs.backup health.doctor health.overview jobs.upkeep jobs.schedule daemon.process
    demo.traffic demo.server demo.transcripts demo
    datasette_plugin.database datasette_plugin.reading datasette_plugin.guard datasette_plugin.metadata
    datasette_plugin.svg datasette_plugin.home datasette_plugin.frame datasette_plugin.pages
    datasette_plugin.cells datasette_plugin.download datasette_plugin.failure
    datasette_plugin serve
    cli.streams cli.tables cli.terminal cli.options cli.failure cli.progress
    tui tui.palette tui.bars tui.columns tui.tiers tui.reading tui.live tui.cost tui.models tui.recent tui.panels
    tui.overlay tui.app cli.top
    cli.report cli.ledger cli.doctor cli.serve cli.export cli.statusline cli.notebooks cli.prices cli.budget cli.ingest
    cli.jobs cli.demo cli.daemon cli.service cli
    __main__
"""
LAYERS = ORDER.split()

# Which outside packages may be imported where.
OUTSIDE = {
    "aiosqlite": {
        "store",
        "store_batch",
        "store_names",
        "write_retry",
        "rollups",
        "reprice",
        "budgets",
        "health.vitals",
    },
    "apscheduler": {"jobs.schedule"},
    "click": {"cli"},
    "datasette": {"datasette_plugin", "serve"},
    "datasette_dashboards": {"datasette_plugin"},
    "filelock": {"lock"},
    "genai_prices": {"prices.genai"},
    "jinja2": {"datasette_plugin"},
    "httpx": {"sources.http_client", "sources.sse", "sources.polling"},
    "markupsafe": {"datasette_plugin"},
    "msgspec": {"model", "sources.transcript_lines", "health.vitals"},
    "matplotlib": {"analysis.charts", "analysis.figures"},
    "numpy": {"analysis"},
    "pandas": {"analysis"},
    "platformdirs": {"settings", "sources.cco_stream", "daemon.record"},
    "pyarrow": {"export.parquet"},
    "rich": {"cli", "tui"},
    "sqlite_utils": {"upgrade"},
    "sseclient": {"frames"},
    "textual": {"tui"},
    "tzlocal": {"upgrade"},
    "uvicorn": {"health.endpoint", "loopback"},
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found[name] = path
    del found["__init__"]
    return found


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def ours(path: Path) -> set[str]:
    return {name.removeprefix("ccostdb.") for name in imports(path)} & set(modules())


def test_every_module_has_its_place():
    assert sorted(LAYERS) == sorted(modules())


@pytest.mark.parametrize("name", modules())
def test_a_module_imports_only_from_modules_above_it(name):
    above = set(LAYERS[: LAYERS.index(name)])
    children = {each for each in LAYERS if each.startswith(f"{name}.")}
    assert ours(modules()[name]) <= above | children


@pytest.mark.parametrize("name", modules())
def test_an_outside_package_is_imported_only_where_it_belongs(name):
    for package in {each.split(".")[0] for each in imports(modules()[name])}:
        if package in OUTSIDE:
            assert {name, name.split(".")[0]} & OUTSIDE[package], f"{name} imports {package}"
        else:
            assert package in sys.stdlib_module_names or package == "ccostdb", f"{name} imports {package}"
