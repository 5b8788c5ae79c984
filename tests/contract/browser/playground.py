"""A small site with everything clients of a browser trip over, on a loopback port."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

PAGES = {
    "/": """<title>Home</title><h1>Playground</h1><nav><a href=/form>Form</a>
        <a href=/login>Login</a></nav><main><article><h2>News</h2>
        <p>The first paragraph of a story that is long enough to be taken for the main content of
        this page, because it has several sentences. Here is another one, and one more.</p>
        <p>The second paragraph goes on about the same thing, with <a href=/more>a link</a>, at a
        length that a reader would call prose rather than navigation.</p></article></main>
        <table><tr class=row><td class=n>tea</td><td class=p>3</td></tr>
        <tr class=row><td class=n>coffee</td><td class=p>4</td></tr></table>""",
    "/form": """<title>Form</title><form method=post action=/sent><label>Name
        <input name=name></label><label>Size <select name=size><option value=s>Small
        <option value=l>Large</select></label><label><input type=checkbox name=gift>Gift</label>
        <button>Send</button></form>""",
    "/login": """<title>Login</title><form method=post action=/login><label>User
        <input name=user></label><label>Password <input type=password name=password></label>
        <button>Sign in</button></form>""",
    "/files": """<title>Files</title><a id=get href=/report.csv>Report</a>
        <form method=post action=/upload enctype=multipart/form-data><input type=file name=file>
        <button>Upload</button></form>""",
    "/socket": """<title>Socket</title><p id=said></p><script>
        const ws = new WebSocket(`ws://${location.host}/ws`);
        ws.onopen = () => ws.send('hello');
        ws.onmessage = e => said.textContent = e.data;</script>""",
    "/sw": """<title>SW</title><p id=got></p><script>
        navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready)
        .then(() => new Promise(done => navigator.serviceWorker.controller ? done() :
            navigator.serviceWorker.addEventListener('controllerchange', done)))
        .then(() => fetch('/from-worker')).then(r => r.text()).then(t => got.textContent = t);
        </script>""",
    "/popup": "<title>Opener</title><button onclick=\"window.open('/form')\">Open</button>",
    "/frame": "<title>Outer</title><iframe src=/form title=inner></iframe>",
    "/dialog": """<title>Dialog</title><button onclick="this.textContent =
        confirm('Sure?') ? 'yes' : 'no'">Ask</button>""",
}
SW_JS = """self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', e => e.waitUntil(clients.claim()));
self.addEventListener('fetch', e => { if (e.request.url.endsWith('/from-worker'))
    e.respondWith(new Response('worker says hi')); });"""
REPORT = b"name,price\ntea,3\n"


async def page(request: Request) -> Response:
    return HTMLResponse(PAGES[request.url.path])


async def sent(request: Request) -> Response:
    form = await request.form()
    return HTMLResponse(f"<title>Sent</title><p id=got>{dict(form)}</p>")


async def login(request: Request) -> Response:
    form = await request.form()
    if (form["user"], form["password"]) != ("ann", "tea"):
        return HTMLResponse("<title>Refused</title>wrong", 401)
    answer = RedirectResponse("/account", 303)
    answer.set_cookie("session", "ann", httponly=True, max_age=1000)
    return answer


async def account(request: Request) -> Response:
    who = request.cookies.get("session")
    return HTMLResponse(f"<title>Account</title><p id=who>{who or 'nobody'}</p>")


async def report(request: Request) -> Response:
    return Response(REPORT, headers={"content-disposition": "attachment; filename=report.csv"})


async def upload(request: Request) -> Response:
    form = await request.form()
    file = form["file"]
    assert not isinstance(file, str)
    body = await file.read()
    return HTMLResponse(f"<title>Got</title><p id=got>{file.filename} {len(body)} bytes</p>")


async def worker(request: Request) -> Response:
    return Response(SW_JS, media_type="text/javascript")


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_text("echo: " + await ws.receive_text())
    with contextlib.suppress(Exception):
        await ws.receive_text()


async def lost(request: Request) -> Response:
    return PlainTextResponse("from the network", 200)


ROUTES = [
    *(Route(path, page) for path in PAGES),
    Route("/sent", sent, methods=["POST"]),
    Route("/login", login, methods=["POST"]),
    Route("/account", account),
    Route("/report.csv", report),
    Route("/upload", upload, methods=["POST"]),
    Route("/sw.js", worker),
    Route("/from-worker", lost),
    WebSocketRoute("/ws", echo),
]


@contextlib.asynccontextmanager
async def serve_app(app: object) -> AsyncIterator[int]:
    """Serve an ASGI application on a free loopback port in this event loop."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.ensure_future(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.01)
        assert not task.done(), task.exception()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


def playground() -> contextlib.AbstractAsyncContextManager[int]:
    return serve_app(Starlette(routes=ROUTES))
