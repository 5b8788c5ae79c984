"""Servers of the outside world: they answer as the path says, and remember what came."""

import gzip
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)


@dataclass
class Site:
    """A server that runs, and every request that it was sent."""

    url: str
    received: list[Received] = field(default_factory=list)
    status: int | None = None
    """Of every answer, if given; so are ``redirect_to`` and ``delay_s``."""
    redirect_to: str | None = None
    delay_s: float = 0

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port
        return port


PAGES: dict[str, tuple[str, bytes]] = {
    "/json": ("application/json", b'{"a": [1, null, "\xc3\xa9"]}'),
    "/deep": ("application/json", b"[" * 200 + b"]" * 200),
    "/nan": ("application/json", b"[NaN]"),
    "/text": ("text/plain; charset=iso-8859-1", b"caf\xe9"),
    "/picture": ("image/png", b"\x89PNG\0\1"),
    "/empty": ("text/plain", b""),
    "/large": ("text/plain", b"x" * (9 << 20)),
}


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            site.received.append(Received(self.command, self.path, headers, body))
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            time.sleep(site.delay_s)
            if parts.path == "/slow":
                time.sleep(3)
            if site.status is not None:
                self.say(site.status, b"", {})
            elif site.redirect_to is not None:
                self.say(307, b"", {"location": site.redirect_to})
            elif parts.path == "/redirect":
                to = query.get("to") or self.path  # for ever
                self.say(int(query.get("status", 302)), b"", {"location": to})
            elif parts.path == "/status":
                extra = {"retry-after": query["after"]} if "after" in query else {}
                self.say(int(query["status"]), b"not today", {"content-type": "text/plain"} | extra)
            elif parts.path == "/bomb":
                packed = gzip.compress(bytes(64 << 20))
                self.say(200, packed, {"content-type": "text/plain", "content-encoding": "gzip"})
            elif parts.path == "/gzip":
                packed = gzip.compress(b'{"packed": true}')
                kind = {"content-type": "application/json", "content-encoding": "gzip"}
                self.say(200, packed, kind)
            elif parts.path == "/cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf")
                self.close_connection = True
            elif parts.path in PAGES:
                kind, page = PAGES[parts.path]
                self.say(200, page, {"content-type": kind})
            else:
                self.say(200, json.dumps({"ok": True}).encode(), {"content-type": "text/json"})

        def say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            pass

    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.any)
    return Handler


@contextmanager
def serving(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A server on a free port of ``host``."""
    site = Site("")
    server = ThreadingHTTPServer((host, 0), handler(site))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    site.url = f"{'https' if tls else 'http'}://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def certificate(folder: Path, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """Write a certificate that its owner signed, and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    crt, secret = folder / "crt.pem", folder / "key.pem"
    crt.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return crt, secret
