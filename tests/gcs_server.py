"""The part of Google Cloud Storage's interface that checkpoints use, over a directory.

Objects are files; conditions on generations, by which writers notice each other, hold.
"""

import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_OBJECTS = re.compile(r"(?:/upload)?/storage/v1/b/([^/]+)/o(?:/(.+))?$")


def serve(root: Path) -> str:
    """Starts a server for the buckets in a directory; returns its address."""
    generations: dict[Path, int] = {}
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            """Says nothing."""

        def answer(self, code, body=b"", **headers):
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def described(self, path):
            bucket, *name = path.relative_to(root).parts
            return {
                "bucket": bucket,
                "name": "/".join(name),
                "generation": str(generations.get(path, 1)),
                "metageneration": "1",
                "size": str(path.stat().st_size),
                "updated": "2026-01-01T00:00:00Z",
            }

        def handle_one(self):
            address = urlsplit(self.path)
            query = dict(parse_qsl(address.query))
            found = _OBJECTS.match(address.path)
            if not found:
                return self.answer(404)
            name = unquote(found[2] or query.get("name", ""))
            length = int(self.headers.get("Content-Length") or 0)
            contents = self.rfile.read(length)
            with lock:
                if not name:
                    return self.listed(root / found[1], query)
                path = root / found[1] / name
                now = generations.get(path, 1) if path.is_file() else 0
                if query.get("ifGenerationNotMatch") == str(now):
                    return self.answer(304)
                if int(query.get("ifGenerationMatch", now)) != now:
                    return self.answer(412)
                return self.act(path, contents, query)

        do_GET = do_POST = do_DELETE = handle_one  # noqa: N815

        def listed(self, bucket, query):
            files = (path for path in bucket.rglob("*") if path.is_file())
            items = [self.described(path) for path in sorted(files)]
            first, last = query.get("startOffset", ""), query.get("endOffset")
            chosen = [
                item
                for item in items
                if item["name"].startswith(query.get("prefix", ""))
                and first <= item["name"]
                and (last is None or item["name"] < last)
            ]
            self.answer(200, json.dumps({"items": chosen}).encode())

        def act(self, path, contents, query):
            if self.command == "POST":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents)
                generations[path] = max(generations.values(), default=1) + 1
            elif not path.is_file():
                return self.answer(404)
            elif self.command == "DELETE":
                os.remove(path)
                return self.answer(204)
            elif query.get("alt") == "media":
                return self.contents(path)
            return self.answer(200, json.dumps(self.described(path)).encode())

        def contents(self, path):
            whole = path.read_bytes()
            generation = {"x_goog_generation": str(generations.get(path, 1))}
            asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if not asked:
                return self.answer(200, whole, **generation)
            first, last = int(asked[1]), min(int(asked[2] or 1 << 60), len(whole) - 1)
            span = f"bytes {first}-{last}/{len(whole)}"
            part = whole[first : last + 1]
            return self.answer(206, part, Content_Range=span, **generation)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"
