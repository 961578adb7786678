"""Who may ask a served ledger, for what, and what a browser may do with the answer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from served import ask

Serve = Callable[[Path], str]
PAGES = ("/-/ccostdb", "/-/ccostdb/health", "/ccostdb", "/ccostdb/calls", "/ccostdb/nothing", "/-/dashboards", "/")


@pytest.fixture
def url(serve: Serve, week: Path) -> str:
    return serve(week)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_a_request_to_this_machine_is_answered_with_its_port_or_none(url: str, host: str) -> None:
    port = urlsplit(url).port
    assert [ask(f"{url}/ccostdb", Host=each).status for each in (host, f"{host}:{port}")] == [200, 200]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1:1", "127.0.0.1.", "", "a@localhost"]
)
@pytest.mark.parametrize(
    "path", ["/", "/-/ccostdb", "/ccostdb/calls.csv", "/-/dashboards/ccostdb", "/-/static/app.css"]
)
def test_a_page_that_rebinds_its_name_to_this_machine_learns_nothing(url: str, host: str, path: str) -> None:
    answer = ask(url + path, Host=host)
    assert (answer.status, answer.text) == (421, "This host is not served here.\n")


def test_a_target_in_absolute_form_overrules_the_host(url: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as con:
        con.sendall(b"GET http://evil.example/ccostdb HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert con.recv(65536).startswith(b"HTTP/1.1 421")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"])
@pytest.mark.parametrize("path", ["/-/ccostdb", "/ccostdb/calls", "/ccostdb", "/-/dashboards/ccostdb", "/-/messages"])
def test_nothing_but_get_and_head_is_answered(url: str, method: str, path: str) -> None:
    answer = ask(url + path, method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", [*PAGES, "/ccostdb/calls.csv", "/ccostdb/calls.json"])
def test_head_is_answered_as_get_is_without_a_body(url: str, path: str) -> None:
    head, whole = ask(url + path, "HEAD"), ask(url + path)
    assert (head.status, head.headers["content-type"]) == (whole.status, whole.headers["content-type"])
    assert head.text == ""


@pytest.mark.parametrize(
    "path", [*PAGES, "/ccostdb/calls.csv", "/ccostdb.json?sql=nonsense", "/-/metadata.json?_ttl=9"]
)
def test_every_answer_keeps_the_browser_on_this_machine_and_is_not_stored(url: str, path: str) -> None:
    headers = ask(url + path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers.get_all("cache-control") == ["no-store"]
    (policy,) = headers.get_all("content-security-policy") or []
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert headers["set-cookie"] is None
    assert headers["access-control-allow-origin"] is None


def test_our_own_pages_allow_no_script_or_style_between_their_tags(url: str) -> None:
    assert "unsafe" not in ask(f"{url}/-/ccostdb").headers["content-security-policy"]


def test_a_refusal_bears_the_same_headers(url: str) -> None:
    for answer in (ask(url, "POST"), ask(url, Host="evil.example")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_what_is_no_data_may_be_stored(url: str) -> None:
    assert ask(f"{url}/-/static/app.css").headers["cache-control"] != "no-store"


LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_page_may_link_to_a_page(url: str, site: str) -> None:
    assert {ask(url + path, **{**LINK, "Sec-Fetch-Site": site}).status for path in PAGES} <= {200, 302, 404}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    "sent",
    [
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Dest": "object"},
        {"Sec-Purpose": "prefetch;prerender"},
    ],
)
def test_another_sites_page_loads_nothing_of_this_one_seen_or_unseen(url: str, site: str, sent: dict[str, str]) -> None:
    answer = ask(f"{url}/-/ccostdb", **{**LINK, "Sec-Fetch-Site": site, **sent})
    assert (answer.status, answer.text.startswith("Another site may link")) == (403, True)


@pytest.mark.parametrize(
    "path",
    [
        *("/ccostdb?sql=select+1", "/ccostdb.json?%73ql=select+1", "/ccostdb/daily_costs?_where=1"),
        *("/ccostdb/daily_costs.csv", "/ccostdb.csv?sql=select+1", "/-/ccostdb/export/calls.ndjson"),
    ],
)
def test_a_link_of_another_site_runs_no_sql_and_downloads_nothing(url: str, path: str) -> None:
    assert ask(url + path, **LINK).status == 403
    for site in ("none", "same-origin"):
        assert ask(url + path, **{**LINK, "Sec-Fetch-Site": site}).status == 200


@pytest.mark.parametrize("path", ["//evil.example/%2e", "//evil.example/"])
def test_no_redirect_leads_off_this_machine(url: str, path: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as con:
        con.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head = con.recv(65536).lower()
    assert b"location: //" not in head
    assert b"location: http" not in head
