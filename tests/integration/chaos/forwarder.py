"""A door to a server on this machine, which can be shut: as when a network or a storage service is gone for a while."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Cut = Literal["refused", "silent"]


class Forwarder:
    """Carries bytes between its own `port` and the server's, both on loopback."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._open = threading.Event()
        self._open.set()
        self._ends: list[socket.socket] = []
        self._listener = _listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._take_calls()

    @contextmanager
    def cut(self, how: Cut) -> Iterator[None]:
        """`refused`: calls are refused, and those that were under way are hung up. `silent`: nothing gets through."""
        if how == "silent":
            self._open.clear()
        else:
            self._hang_up()
        try:
            yield
        finally:
            if how == "refused":
                self._listener = _listen(self.port)
                self._take_calls()
            self._open.set()

    def close(self) -> None:
        self._open.set()
        self._hang_up()

    def _hang_up(self) -> None:
        ends, self._ends = [self._listener, *self._ends], []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
            end.close()

    def _take_calls(self) -> None:
        threading.Thread(target=self._take, args=(self._listener,), daemon=True).start()

    def _take(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                caller, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                self._ends += [caller, server]
                for ends in ((caller, server), (server, caller)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._open.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))
