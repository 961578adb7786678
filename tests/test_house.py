"""The house itself: migrations that never change, files that say what they are, nothing that does not belong."""

import ast
import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from ccostdb.resources import sql, sql_names

ROOT = Path(__file__).parent.parent

# A released migration never changes: a new one is added instead.
MIGRATIONS = {
    "0001_ledger": "d0b74dfc8431d7d277bce6f82c2cb694e64bda7215eac57fbd827b33971d1256",
    "0002_daemon": "7a8edd323ab99d6d6dede2c94eb70e9706434714cf16e6e39c63fffc7de865cc",
}


@pytest.mark.parametrize("path", sorted((ROOT / "ccostdb").rglob("*.py")), ids=lambda path: path.stem)
def test_files_are_short_or_say_why(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


def test_migrations_are_frozen():
    found = {
        name: hashlib.sha256(sql(f"migrations/{name}.sql").encode()).hexdigest() for name in sql_names("migrations")
    }
    assert found == MIGRATIONS


@pytest.mark.parametrize("path", sorted((ROOT / "sql").rglob("*.sql")), ids=lambda path: path.stem)
def test_every_statement_says_first_what_it_is(path):
    assert path.read_text().startswith("-- ")


def test_nothing_committed_names_a_machine_a_registry_or_a_secret():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    # Put together here, so that this file does not find itself.
    parts = ["pypi" + r"\.org", "registry" + r"\.npmjs", "[^~]/wo" + "rk/", "sk-" + r"ant-\w{8}"]
    forbidden = re.compile("|".join(parts))
    for name in listed:
        path = ROOT / name
        if path.is_file() and path.suffix not in {".sse", ".jsonl", ".png"}:
            assert not forbidden.search(path.read_text(errors="replace")), name
