"""ccostdb: a ledger for what AI agents spend.

bytes        sources/*              read a stream, a file, an API
frames       frames.py              whole SSE events; sources/*_reader.py, ndjson.py: whole lines
events       sources/*  parse()     what one frame means, in our words
ledger rows  ledger.py, windows/, prices/   identity, once each, what it cost
SQLite       store.py               appended with position and run record
rollups      rollups.py             recomputed where calls changed
views        sql/views/             what people read: cli/, Datasette, notebooks, exports
"""

__version__ = "0.1.0"
