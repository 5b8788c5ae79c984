"""Room frontend over ASGI: what a browser is given, and what nobody is."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from autobot.errors import Unavailable
from autobot.web import problems
from deployments.frontend.routes import Platform, main_elsewhere, web_routes
from deployments.frontend.site import Site

ONE_MACHINE = Platform(main=None, http_port=8001, desktop_port=6080)
HTML = {"accept": "text/html"}


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A built page beside a file that is nobody's business."""
    (tmp_path / "secret.txt").write_text("secret")
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><title>AutoBot</title>")
    (dist / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (dist / "assets" / "index-Ab12.js").write_text("export {}")
    return dist


def client(dist: Path, platform: Platform = ONE_MACHINE) -> httpx.AsyncClient:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    app.include_router(web_routes(Site(dist), platform))
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://box.lan:5173")


@pytest.fixture
async def page(dist: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client(dist) as page:
        yield page


async def test_entry_is_revalidated_and_hashed_files_are_kept_for_ever(
    page: httpx.AsyncClient,
) -> None:
    entry = await page.get("/")
    assert entry.status_code == 200
    assert "<title>AutoBot" in entry.text
    assert entry.headers["cache-control"] == "no-cache"
    script = await page.get("/assets/index-Ab12.js")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["content-type"].startswith("text/javascript")
    icon = await page.get("/favicon.svg")
    assert icon.headers["cache-control"] == "no-cache"


async def test_unchanged_entry_is_not_sent_again(page: httpx.AsyncClient) -> None:
    tag = (await page.get("/")).headers["etag"]
    again = await page.get("/", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"


async def test_head_answers_like_get_without_the_body(page: httpx.AsyncClient) -> None:
    head = await page.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0


async def test_address_inside_the_page_gives_its_entry(page: httpx.AsyncClient) -> None:
    for path in ("/rooms/npu", "/rooms/", "/apiary"):
        answer = await page.get(path, headers=HTML)
        assert answer.status_code == 200, path
        assert "<title>AutoBot" in answer.text


@pytest.mark.parametrize("path", ["/assets/index-Old9.js", "/assets/", "/robots.txt", "/a/b.css"])
async def test_missing_file_is_not_answered_with_the_page(
    page: httpx.AsyncClient, path: str
) -> None:
    answer = await page.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/health", "/v1/models", "/ollama/api/tags", "/docs"])
async def test_api_asked_on_this_port_says_where_it_is(page: httpx.AsyncClient, path: str) -> None:
    answer = await page.get(path, headers=HTML)
    assert answer.status_code == 404
    assert "room main" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/index.html%00.txt",
        "/link.txt",
    ],
)
async def test_nothing_outside_the_built_page_can_be_read(dist: Path, path: str) -> None:
    (dist / "link.txt").symlink_to(dist.parent / "secret.txt")
    async with client(dist) as page:
        answer = await page.get(httpx.URL("http://box.lan:5173", raw_path=path.encode()))
    assert "secret" not in answer.text.replace("secret.txt", "")
    assert "root:" not in answer.text
    assert answer.status_code in (200, 404)


async def test_every_answer_of_the_page_carries_the_security_headers(
    page: httpx.AsyncClient,
) -> None:
    for path in ("/", "/assets/index-Ab12.js", "/rooms", "/config.json"):
        headers = (await page.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"


async def test_policy_lets_the_page_call_the_api_and_nothing_else(page: httpx.AsyncClient) -> None:
    policy = (await page.get("/")).headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self' http://box.lan:8001 ws://box.lan:8001"
    assert rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("host", "name"),
    [("box.lan:5173", "box.lan"), ("10.0.0.5", "10.0.0.5"), ("[::1]:5173", "[::1]")],
)
async def test_on_one_machine_the_api_is_where_the_page_came_from(
    page: httpx.AsyncClient, host: str, name: str
) -> None:
    answer = await page.get("/config.json", headers={"host": host})
    assert answer.json() == {
        "api": f"http://{name}:8001",
        "desktop": f"http://{name}:6080/vnc.html",
    }
    assert answer.headers["cache-control"] == "no-store"


async def test_on_six_machines_the_api_is_on_main(dist: Path) -> None:
    six = Platform(main="172.16.168.20", http_port=8001, desktop_port=6080)
    async with client(dist, six) as page:
        config = (await page.get("/config.json")).json()
        policy = (await page.get("/")).headers["content-security-policy"]
    assert config["api"] == "http://172.16.168.20:8001"
    assert config["desktop"] == "http://172.16.168.20:6080/vnc.html"
    assert "connect-src 'self' http://172.16.168.20:8001 ws://172.16.168.20:8001;" in policy


async def test_owner_can_name_the_api(dist: Path) -> None:
    named = Platform(None, 8001, 6080, public_api="https://home.example/autobot/")
    async with client(dist, named) as page:
        assert (await page.get("/config.json")).json()["api"] == "https://home.example/autobot"
        policy = (await page.get("/")).headers["content-security-policy"]
    assert "connect-src 'self' https://home.example wss://home.example;" in policy


@pytest.mark.parametrize("host", ["evil; script-src *", "a b", "", "x'y", "evil,b"])
async def test_host_header_cannot_write_into_the_policy(page: httpx.AsyncClient, host: str) -> None:
    for path in ("/", "/config.json"):
        answer = await page.get(path, headers={"host": host})
        assert answer.status_code == 400
        assert "content-security-policy" not in answer.headers


async def test_page_that_is_not_built_says_what_to_do(tmp_path: Path) -> None:
    async with client(tmp_path / "dist") as page:
        answer = await page.get("/")
        config = await page.get("/config.json")
    assert answer.status_code == 503
    assert "make web" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert config.status_code == 200


async def test_a_build_shows_without_a_restart(tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    async with client(dist) as page:
        assert (await page.get("/")).status_code == 503
        dist.mkdir()
        (dist / "index.html").write_text("built")
        assert (await page.get("/")).text == "built"


async def test_room_is_unwell_until_its_page_is_built(dist: Path, tmp_path: Path) -> None:
    assert await Site(dist).check() == 3
    with pytest.raises(Unavailable, match="make web"):
        await Site(tmp_path / "none").check()


def test_main_on_another_machine_is_where_rays_control_store_is() -> None:
    assert main_elsewhere("172.16.168.20:6380", "172.16.168.21") == "172.16.168.20"


@pytest.mark.parametrize("gcs", ["127.0.0.1:6380", "172.16.168.20:6380"])
def test_main_on_this_machine_is_reached_as_the_page_was(gcs: str) -> None:
    assert main_elsewhere(gcs, "172.16.168.20") is None
