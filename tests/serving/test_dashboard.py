"""The dashboard's files: served as they are, once compressed, under a strict policy, and nothing else under them."""

from __future__ import annotations

import ast
import gzip
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from serving.dashboard import files, routes
from serving.problems import MEDIA_TYPE
from tests.support.running_api import Api, running
from tests.support.tiny_lake import tiny_lake

STATIC = Path(files.__file__).parent / "static"
OWN = sorted(path.name for path in STATIC.iterdir())


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API of an installation without any data: the dashboard needs none to be served."""
    with running(tiny_lake(tmp_path_factory.mktemp("installation"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def addresses(api: Api) -> list[str]:
    """Every address that the page names, the modules that these import, and the page itself."""
    page = api.get("/").text
    found = ["/", *("/" + name for name in re.findall(r'(?:src|href|content)="(static/[^"]+)"', page))]
    for address in found:
        if address.endswith(".js") and "plotly" not in address:
            folder = address.rpartition("/")[0]
            for name in re.findall(r'from "\./([a-z]+\.js)"', api.get(address).text):
                if f"{folder}/{name}" not in found:
                    found.append(f"{folder}/{name}")
    return found


def test_every_file_is_reached_from_the_page(addresses: list[str]) -> None:
    reached = {address.rpartition("/")[2] for address in addresses}
    assert set(OWN) - {"index.html"} <= reached
    assert sum("plotly-" in name for name in reached) == 1


def test_all_of_it_is_served_under_the_policy(api: Api, addresses: list[str]) -> None:
    for address in addresses:
        answer = api.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["content-security-policy"] == routes.POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["vary"] == "accept-encoding"
        forever = answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert forever == (address != "/")
        assert (
            answer.headers["content-type"]
            == {
                "": "text/html; charset=utf-8",
                "css": "text/css; charset=utf-8",
                "js": "text/javascript; charset=utf-8",
                "svg": "image/svg+xml",
            }[address.rpartition(".")[2] if "." in address else ""]
        )


def test_the_policy_allows_nothing_inline_and_no_other_host() -> None:
    rules = dict(rule.split(" ", 1) for rule in routes.POLICY.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in routes.POLICY
    assert "http" not in routes.POLICY


def test_the_page_holds_no_script_no_style_and_no_other_host() -> None:
    page = (STATIC / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\bstyle=|\bon[a-z]+=", page) == []
    for name in OWN:
        text = (STATIC / name).read_text().replace("http://www.w3.org/", "")
        assert "//" not in re.sub(r"^\s*//.*$|\s// .*$", "", text, flags=re.MULTILINE), f"{name} names another host"


def test_data_never_become_markup_or_code() -> None:
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|createContextualFragment"
    assert [name for name in OWN if re.search(banned, (STATIC / name).read_text())] == []


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_file_has_a_tag_for_each_encoding(api: Api, addresses: list[str], encoding: str) -> None:
    for address in addresses:
        answer = api.get(address, headers={"accept-encoding": encoding})
        tag = answer.headers["etag"]
        assert ("content-encoding" in answer.headers) == tag.endswith('-gzip"'), address
        again = api.get(address, headers={"accept-encoding": encoding, "if-none-match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == answer.headers["cache-control"]
        head = api.head(address, headers={"accept-encoding": encoding})
        assert (head.status_code, head.content) == (200, b"")
        same = ("content-length", "content-type", "etag", "vary")
        assert [head.headers[name] for name in same] == [answer.headers[name] for name in same]


def test_plotlys_script_is_that_of_the_package_and_travels_compressed(api: Api, addresses: list[str]) -> None:
    (address,) = (address for address in addresses if "plotly-" in address)
    installed = metadata.distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
    assert isinstance(installed, Path)
    with api.stream("GET", address, headers={"accept-encoding": "gzip"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert len(packed) == int(answer.headers["content-length"]) < installed.stat().st_size / 3
    assert gzip.decompress(packed) == installed.read_bytes()
    assert api.get(address, headers={"accept-encoding": "identity"}).content == installed.read_bytes()


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("gzip;q=0.0", False),
        ("*;q=0", False),
        ("gzip;q=nothing", False),
        ("br", False),
        ("", False),
    ],
)
def test_who_takes_gzip(header: str, taken: bool) -> None:
    assert routes.takes_gzip(header) is taken


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/app.js",
        "/static/../serving/factory.py",
        "/static/%2e%2e/%2e%2e/pyproject.toml",
        "/static//etc/passwd",
        "/static/x%00.js",
        "/static/" + "a" * 5_000,
        "/index.html",
    ],
    ids=["folder", "no digest", "dots", "encoded dots", "absolute", "nul", "long", "index"],
)
def test_nothing_else_is_served(api: Api, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert "passwd" not in answer.text


def test_the_page_takes_no_other_method(api: Api) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert api.request(method, "/").status_code == 405


def test_the_page_takes_a_browsers_accept_and_needs_none(api: Api) -> None:
    for accept in ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html", "*/*"):
        assert api.get("/", headers={"accept": accept}).status_code == 200


def test_the_dashboard_is_no_part_of_the_api(api: Api) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    assert [path for path in paths if files.is_open(path)] == []


def test_only_the_dashboard_is_open() -> None:
    assert files.is_open("/")
    assert files.is_open("/static/0/app.js")
    assert not any(files.is_open(path) for path in ("/v1/pairs", "/metrics", "/openapi.json", "/statics", "//", ""))


def test_its_files_are_found_without_importing_plotly() -> None:
    code = "from serving.dashboard import routes; routes.build(); import sys; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in ast.literal_eval(done.stdout)}
    assert "serving" in loaded
    assert not loaded & {"plotly", "pandas", "dagster", "torch"}


def test_a_missing_script_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(files.MissingScript, match="install the package plotly again"):
        files.site.__wrapped__()
