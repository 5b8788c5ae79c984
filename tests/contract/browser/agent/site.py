"""The agent's playground: a shop, a forum, a table, a form, pages of a list, and a login."""

from collections.abc import Mapping
from html import escape
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

GOODS = {
    "green-tea": ("Green tea", "4.50", "in stock", "Japan"),
    "black-tea": ("Black tea", "3.20", "in stock", "Assam"),
    "teapot": ("Teapot", "24.00", "sold out", "Delft"),
    "honey": ("Honey", "6.80", "in stock", "Crete"),
}
THREADS = {
    "1": ("Best kettle for camping", [("ola", "Take the small steel one."), ("per", "I agree.")]),
    "2": ("How long to steep oolong", [("mia", "Three minutes at 90 degrees.")]),
    "3": ("Broken lid", [("ann", "Glue it."), ("bo", "Buy a new one."), ("cy", "Ask the shop.")]),
}
CITIES = [
    ("Oslo", "Norway", "717710"),
    ("Bergen", "Norway", "291940"),
    ("Uppsala", "Sweden", "177074"),
    ("Aarhus", "Denmark", "285273"),
]
RECEIVED: list[str] = []
"""What was sent to it, as ``path name=value``: an answer does not show that a thing was done."""
BOOKS = [(f"Book number {n}", f"{n * 7 % 50 + 3}.00") for n in range(1, 31)]
PER_PAGE = 10


def shown(title: str, body: str, status: int = 200) -> Response:
    menu = (
        "<nav><a href=/shop>Shop</a> <a href=/forum>Forum</a> <a href=/table>Table</a> "
        "<a href=/form>Form</a> <a href=/books>Books</a> <a href=/login>Login</a></nav>"
    )
    page = f"<!doctype html><title>{title}</title>{menu}<main><h1>{title}</h1>{body}</main>"
    return HTMLResponse(page, status)


async def sent(request: Request) -> Mapping[str, Any]:
    """The fields of the request's form, which are remembered."""
    given = await request.form()
    fields = "&".join(f"{name}={str(value).strip()}" for name, value in given.items())
    RECEIVED.append(f"{request.url.path} {fields}")
    return given


async def home(request: Request) -> Response:
    return shown("Home", "<p>Everything for tea.</p>")


async def shop(request: Request) -> Response:
    wanted = request.query_params.get("q", "").lower()
    rows = "".join(
        f"<li><a href=/shop/{key}>{name}</a> {price} EUR</li>"
        for key, (name, price, _, _) in GOODS.items()
        if wanted in name.lower()
    )
    search = "<form><label>Search <input name=q></label><button>Find</button></form>"
    return shown("Shop", f"{search}<ul>{rows}</ul><a href=/cart>Cart</a>")


async def good(request: Request) -> Response:
    key = request.path_params["key"]
    name, price, stock, origin = GOODS[key]
    return shown(
        name,
        f"<p>Price: {price} EUR</p><p>{stock}</p><p>Origin: {origin}</p>"
        f"<form method=post action=/cart><input type=hidden name=key value={key}>"
        "<button>Add to cart</button></form>",
    )


async def cart(request: Request) -> Response:
    inside = [key for key in request.cookies.get("cart", "").split(".") if key]
    if request.method == "POST":
        inside.append(str((await sent(request))["key"]))
        answer = RedirectResponse("/cart", 303)
        answer.set_cookie("cart", ".".join(inside))
        return answer
    total = sum(float(GOODS[key][1]) for key in inside)
    rows = "".join(f"<li>{GOODS[key][0]}</li>" for key in inside)
    order = "<form method=post action=/order><button>Order now</button></form>"
    return shown("Cart", f"<ul>{rows}</ul><p>Total: {total:.2f} EUR</p>{order}")


async def order(request: Request) -> Response:
    await sent(request)
    count = len([key for key in request.cookies.get("cart", "").split(".") if key])
    return shown("Thank you", f"<p>Order number: ORD-{4710 + count}</p>")


async def forum(request: Request) -> Response:
    rows = "".join(
        f"<li><a href=/forum/{key}>{title}</a> {len(posts)} posts</li>"
        for key, (title, posts) in THREADS.items()
    )
    return shown("Forum", f"<ul>{rows}</ul>")


async def thread(request: Request) -> Response:
    key = request.path_params["key"]
    title, posts = THREADS[key]
    if request.method == "POST":
        said = str((await sent(request))["reply"])
        return shown("Posted", f"<p>Your reply: {escape(said)}</p>")
    said = "".join(f"<article><h2>{who}</h2><p>{words}</p></article>" for who, words in posts)
    reply = (
        f"<form method=post action=/forum/{key}><label>Reply <textarea name=reply></textarea>"
        "</label><button>Post reply</button></form>"
    )
    return shown(title, said + reply)


async def table(request: Request) -> Response:
    country = request.query_params.get("country", "")
    options = "".join(f"<option>{c}</option>" for c in ("All", "Norway", "Sweden", "Denmark"))
    rows = "".join(
        f"<tr><td>{city}</td><td>{land}</td><td>{people}</td></tr>"
        for city, land, people in CITIES
        if country in ("", "All", land)
    )
    chosen = (
        f"<form><label>Country <select name=country>{options}</select></label>"
        "<button>Filter</button></form>"
    )
    head = "<tr><th>City</th><th>Country</th><th>People</th></tr>"
    return shown("Cities", f"{chosen}<table>{head}{rows}</table>")


async def form(request: Request) -> Response:
    if request.method == "POST":
        given = await sent(request)
        size, gift = given.get("size"), "yes" if given.get("gift") else "no"
        words = f"{given.get('name')}, {size}, gift: {gift}"
        return shown("Booked", f"<p>Booking code: B-{len(words)}</p><p>{escape(words)}</p>")
    return shown(
        "Booking",
        "<form method=post><label>Name <input name=name required></label>"
        "<label>Size <select name=size><option>Small<option>Large</select></label>"
        "<label><input type=checkbox name=gift>Gift</label><button>Book</button></form>",
    )


async def books(request: Request) -> Response:
    page = int(request.query_params.get("page", "1"))
    first = (page - 1) * PER_PAGE
    rows = "".join(f"<li>{name} {price} EUR</li>" for name, price in BOOKS[first:][:PER_PAGE])
    after = f"<a href=/books?page={page + 1}>Next page</a>" if first + PER_PAGE < 30 else ""
    return shown(f"Books, page {page}", f"<ul>{rows}</ul>{after}")


async def login(request: Request) -> Response:
    if request.method == "GET":
        return shown(
            "Login",
            "<form method=post><label>User <input name=user></label>"
            "<label>Password <input type=password name=password></label>"
            "<button>Sign in</button></form>",
        )
    given = await sent(request)
    if (given["user"], given["password"]) != ("ann", "tea"):
        return shown("Login", "<p role=alert>Wrong user or password.</p>", 401)
    answer = RedirectResponse("/account", 303)
    answer.set_cookie("who", "ann", httponly=True)
    return answer


async def account(request: Request) -> Response:
    if request.cookies.get("who") != "ann":
        return RedirectResponse("/login", 303)
    return shown("Account of ann", "<p>Points: 365</p><a href=/account/orders>Orders</a>")


async def orders(request: Request) -> Response:
    if request.cookies.get("who") != "ann":
        return RedirectResponse("/login", 303)
    return shown("Orders", "<table><tr><th>Number<th>State<tr><td>ORD-99<td>on its way</table>")


async def away(request: Request) -> Response:
    """A link to a host that a task's list of domains does not have."""
    port = request.url.port
    return shown("Away", f"<a href=http://localhost:{port}/shop>Outside</a>")


BOTH = ["GET", "POST"]
SITE = Starlette(
    routes=[
        Route("/", home),
        Route("/shop", shop),
        Route("/shop/{key}", good),
        Route("/cart", cart, methods=BOTH),
        Route("/order", order, methods=["POST"]),
        Route("/forum", forum),
        Route("/forum/{key}", thread, methods=BOTH),
        Route("/table", table),
        Route("/form", form, methods=BOTH),
        Route("/books", books),
        Route("/login", login, methods=BOTH),
        Route("/account", account),
        Route("/account/orders", orders),
        Route("/away", away),
    ]
)
