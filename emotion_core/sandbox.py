"""`python -m emotion_core.sandbox MODULE ARGUMENTS`: a process without network and programs.

Its memory and its time are bounded, too. It may still read and write the files of its user, so it
is a second wall behind the refusals of who reads files that nobody has checked, and no first one.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from . import limits

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG = 1
#: What Python code may not even try afterwards, by the names of its audit events.
_FORBIDDEN = (
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.sendmsg",
    "socket.sendto",
    "subprocess.Popen",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.system",
)


def confine(*, memory_bytes: int, seconds: int) -> None:
    """Take the network away from this process, where the system lets it, and bound it.

    Called before anything starts a thread. Linux gives the process a network of its own without a
    way out; elsewhere, and where that is not permitted, `forbid` alone holds. The bound is on
    addresses, of which a process needs several times what it uses. After its time the process
    ends, and on Linux it ends with whoever started it.
    """
    parent = os.getppid()
    with suppress(AttributeError):  # not there on Windows
        signal.alarm(seconds)
    with suppress(ImportError, OSError, ValueError):  # not there on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            system = ctypes.CDLL(None)
            system.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
            system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before this process asked to be told
            sys.exit(1)


def forbid() -> None:
    """Refuse, from now on and for good, that Python code here connects or starts a program."""

    def check(event: str, _: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN:
            raise PermissionError(f"{event} is not allowed in process {os.getpid()}")

    sys.addaudithook(check)


def main() -> None:
    """Confine this process, import a module, and call its `main` with the arguments."""
    name, *arguments = sys.argv[1:]
    confine(memory_bytes=limits.SANDBOX_MAX_BYTES, seconds=int(limits.IMPORT_MAX_S))
    module = import_module(name)
    forbid()
    module.main(*arguments)


if __name__ == "__main__":
    main()
