"""A small model server, as a program: it answers, reloads on SIGHUP and ends gracefully on SIGTERM.

``small_server.py LOG MARK [stubborn]``: the log gets a line for each event; the first one is the
port. Its processes have the mark among their arguments.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SLOW_SECONDS = 1.0
STOPPED, INTERRUPTED = 7, 5


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        tell("asked")
        time.sleep(SLOW_SECONDS)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get("MODEL_NAME", "").encode())
        tell("answered")

    def log_message(self, *_: object) -> None:
        return


def tell(event: str) -> None:
    with open(sys.argv[1], "a", encoding="utf-8") as log:
        log.write(f"{event}\n")


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = False  # whose end is waited for
    ends: list[int] = []

    def end(number: int, _frame: Any) -> None:
        tell(signal.Signals(number).name)
        if "stubborn" not in sys.argv:
            ends.append(number)
            threading.Thread(target=server.shutdown).start()

    def note(number: int, _frame: Any) -> None:
        tell(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, note)
    # A process of its own session, as engines and their workers are.
    stay = "import time; time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", stay, sys.argv[2]], start_new_session=True)
    tell(str(server.server_address[1]))
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    tell("closed")
    os._exit(INTERRUPTED if ends[0] == signal.SIGINT else STOPPED)


if __name__ == "__main__":
    main()
