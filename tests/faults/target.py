"""A target as a process: answers at once with its name and the request's id, and writes down each id that it ran.

Responsible for: being a small, correct HTTP/1.1 server that can be killed and started again on its port.
Does not know: the router.

Run as ``python -m tests.faults.target PORT NAME JOURNAL``. An id is in the journal before the answer is sent, so an
answer that came means a line that is there, and a line without an answer is a request that was lost after it ran.
"""

import asyncio
import os
import sys


class Target(asyncio.Protocol):
    """A connection."""

    def __init__(self, name: bytes, journal: int) -> None:
        self._name = name
        self._journal = journal
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._data += data
        while (request := self._next()) is not None:
            os.write(self._journal, request + b"\n")
            body = self._name + b" " + request
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )

    def _next(self) -> bytes | None:
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return None
        length = 0
        ident = b"-"
        for line in head.split(b"\r\n")[1:]:
            field, _, value = line.partition(b":")
            if field.lower() == b"content-length":
                length = int(value)
            elif field.lower() == b"x-number":
                ident = value.strip()
        if len(rest) < length:
            return None
        self._data = rest[length:]
        return ident


async def main(port: int, name: str, journal: str) -> None:
    """Serve until killed."""
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Target(name.encode(), descriptor), "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
