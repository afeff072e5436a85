import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.serving.load import LoadFailed, parse, run_load, write_bodies

PRINTED = """Running 2s test @ http://127.0.0.1:8000/
  1 threads and 16 connections
RESULT {"requests": 20, "us": 2000000, "p50": 900, "p99": 4000, "errors": [0, 0, 0, 1, 2]}
Requests/sec: 10.00
"""


def test_what_wrk_says_is_read_in_seconds_and_milliseconds():
    load = parse(PRINTED)
    assert (load.requests, load.seconds, load.p50_ms, load.p99_ms) == (20, 2.0, 0.9, 4.0)
    assert load.requests_per_s == 10.0


def test_every_kind_of_error_counts():
    assert parse(PRINTED).errors == 3


def test_wrk_that_could_not_connect_is_quoted():
    with pytest.raises(LoadFailed, match="wrk said: unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_bodies_may_hold_anything(tmp_path):
    file = write_bodies([b"a\nb", b"", b"\0"], tmp_path / "bodies")
    assert file.read_bytes() == b"3\na\nb0\n1\n\0"


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk")
def test_wrk_sends_the_bodies_in_turn_with_the_headers_and_tells_errors(tmp_path):
    seen = set()

    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.add((body, self.headers["Content-Type"], self.headers["Accept"]))
            self.send_response(400 if body == b"bad" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    bodies = write_bodies([b"one\n", b"\0two", b"bad"], tmp_path / "bodies")
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        load = run_load(url, {"Content-Type": "text/x", "Accept": "text/y"}, bodies, connections=1, seconds=1)
        server.shutdown()
        thread.join()
    assert seen == {(body, "text/x", "text/y") for body in (b"one\n", b"\0two", b"bad")}
    assert load.requests > 3
    assert abs(load.errors - load.requests / 3) <= 1
