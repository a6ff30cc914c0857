"""An agent that does what it can to outlive its run: ``stray_agent.py KIND END READY MARK``.

KIND says how, END how it ends by itself (exit, fail), that it does not (stay), or that it does once
there is a file READY.end (told). READY is a file that it writes when everything is in place, MARK
only makes its processes easy to find.
"""

import os
import signal
import sys
import time


def sleep() -> None:
    while True:
        time.sleep(60)


def child() -> None:
    """Leave a child that sleeps."""
    if os.fork() == 0:
        sleep()


def forks() -> None:
    child()
    child()


def daemonizes() -> None:
    """Fork twice, with a session of its own in between, and let go of all it was given."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 64)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            sleep()
        os._exit(0)
    os.waitpid(pid, 0)


def ignores() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    child()


def crowds() -> None:
    for number in range(200):
        if os.fork() == 0:
            if number % 2:
                os.setsid()
            sleep()


def chatters() -> None:
    """Fill the pipe: nobody may wait for this one, and it may not be waited for."""
    if os.fork() == 0:
        while True:
            os.write(1, b"x" * 100_000)


def eats() -> None:
    """Take memory until there is none left, and keep it."""
    kept: list[bytearray] = []
    try:
        while len(kept) < 64:
            kept.append(bytearray(16 << 20))
    except MemoryError:
        child()


def hops() -> None:
    """Be another process in another session all the time: who looks for it comes too late."""
    if os.fork() == 0:
        while True:
            if os.fork():
                os._exit(0)
            os.setsid()


KINDS = (forks, daemonizes, ignores, crowds, chatters, eats)


def main() -> int:
    """Misbehave as asked."""
    kind, end, ready = sys.argv[1:4]
    {each.__name__: each for each in (*KINDS, hops)}[kind]()
    with open(ready, "x", encoding="ascii"):
        pass
    if end == "stay":
        sleep()
    while end == "told" and not os.path.exists(f"{ready}.end"):
        time.sleep(0.1)
    if end == "told":
        os.write(1, b"I was told\n")
    return 3 if end == "fail" else 0


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())
