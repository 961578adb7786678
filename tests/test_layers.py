"""Who may import whom, and which outside package may be imported where."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ccostdb"

# A module imports only from modules above it.
ORDER = """
    errors memory setting_values settings model clock resources
    frames window_state alignment orientation boots windows
    model_names price_plan prices price_entries price_base price_book budget_entries
    ledger
    sources.sse sources.cco sources.cco_stream sources.json_bounds sources.polling sources.samples sources.cca
    sources.ccd
    sources.transcript_lines sources.claude_code sources.line_reader sources.transcript_files sources.ndjson
    views schema upgrade rollups rows patience store
    running background service
    budget_standing budgets
    logs vitals metrics endpoint
    ingest.outcome ingest.daemon_rows ingest.daemon_lines ingest.daemon_events
    ingest.files ingest.polls ingest.overrides ingest.streams ingest
    reprice reports price_reports budget_reports health export
    prune backup upkeep jobs daemon
    demo.traffic demo.server demo.transcripts demo
    cli.printable cli.tables cli.terminal cli.options cli.failure cli.progress
    cli.report cli.ledger cli.doctor cli.export cli.prices cli.budget cli.ingest cli.jobs cli.demo
    cli.daemon cli.service cli
    __main__
"""
LAYERS = ORDER.split()

# Which outside packages may be imported where.
OUTSIDE = {
    "aiosqlite": {"store", "patience", "rollups", "reprice", "budgets", "vitals"},
    "apscheduler": {"jobs"},
    "click": {"cli"},
    "filelock": {"schema"},
    "genai_prices": {"price_base"},
    "httpx": {"sources.sse", "sources.cco", "sources.cco_stream", "sources.polling"},
    "msgspec": {"model", "sources.transcript_lines", "vitals"},
    "pandas": {"analysis"},
    "platformdirs": {"settings", "sources.cco_stream", "running"},
    "rich": {"cli"},
    "sqlite_utils": {"upgrade"},
    "sseclient": {"frames"},
    "tzlocal": {"upgrade"},
    "uvicorn": {"endpoint"},
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
