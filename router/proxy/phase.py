"""The phases in which an exchange waits for something; each is what its deadline is about."""

from typing import Final

GATHER: Final = 0  # for the request body, to decide
CONNECT: Final = 1  # for a connection to the endpoint
HEAD: Final = 2  # for the head of the response
BODY: Final = 3  # for more of the response
WAIT: Final = 4  # for the time of the next attempt
QUEUE: Final = 5  # for a slot of the target
DONE: Final = 6

UNSENT: Final = frozenset({GATHER, CONNECT, WAIT, QUEUE})  # nothing was sent by the present attempt
