"""Ill shadows under steady load: every caller gets the right answer, and nothing is left behind.

No time is measured. A shadow that never answers cannot have been waited for when every caller has its answer.
"""

import threading
from collections.abc import Iterator

import pytest

from router import counters
from tests.harness import Proxy, Target, wait_until
from tests.hostile.ill import ILLNESSES, Ill
from tests.hostile.wire import post

CALLERS = 4
EACH = 60
PLACES = 5
SIZE = 20_000  # bytes of a request: more than a socket of a shadow that reads nothing takes of several of them


class Echo(Target):
    """A healthy target: it answers each request with its body."""

    def __init__(self) -> None:
        super().__init__()
        self._threads.append(threading.Thread(target=self._serve, daemon=True))
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._echo, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    @staticmethod
    def _echo(connection: object) -> None:
        try:
            while True:
                body = connection.read_request().partition(b"\r\n\r\n")[2]  # type: ignore[attr-defined]
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))  # type: ignore[attr-defined]
        except (OSError, EOFError):
            return


@pytest.fixture
def echo() -> Iterator[Echo]:
    """The target that answers callers."""
    with Echo() as made:
        yield made


def yaml(echo: Echo, port: int, more: str = "") -> str:
    """Write a configuration whose every request is mirrored, to a shadow of little patience."""
    times = "timeouts: {connect: 300ms, first_byte: 300ms, idle: 300ms, total: 1s}"
    shadow = f"{{target: s, share: 100%, inflight: {PLACES}, compare: {{}}}}"
    return (
        "events: {unenrolled: 0%}\n"
        f"targets: [{{name: t, endpoints: ['{echo.url}']}}, "
        f"{{name: s, endpoints: ['http://127.0.0.1:{port}'], {times}, breaker: {{consecutive: 0}}{more}}}]\n"
        f"routes: [{{name: all, target: t, shadow: [{shadow}]}}]\n"
    )


def under_way(proxy: Proxy) -> int:
    """Read how many copies have a place."""
    return proxy.word(counters.shadow_key("all", "s"), counters.SHADOW_INFLIGHT)


def results(proxy: Proxy) -> dict[str, int]:
    """Read what became of copies."""
    key = counters.shadow_key("all", "s")
    return {
        name: count
        for index, name in enumerate(counters.SHADOW_RESULTS)
        if (count := proxy.word(key, counters.SHADOW_COUNTS + index))
    }


class Callers:
    """Callers that send one request after another, each with a body of its own, and compare what comes back."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.wrong: list[str] = []
        self.right = 0
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _call(self, caller: int) -> None:
        try:
            with self.proxy.caller() as connection:
                for number in range(EACH):
                    body = (b"%d-%d " % (caller, number)) * (SIZE // 8)
                    connection.send(post(body))
                    response = connection.response()
                    if response.status == 200 and response.body == body:
                        self.right += 1
                    else:
                        self.wrong.append(f"{caller}-{number}: {response.status}")
        except (OSError, EOFError, ValueError) as error:
            self.wrong.append(f"{caller}: {error!r}")

    def join(self) -> int:
        """Wait for all answers; return the most copies that were seen under way."""
        most = 0
        while any(thread.is_alive() for thread in self._threads):
            most = max(most, under_way(self.proxy))
            self._threads[0].join(0.005)
            self._threads[-1].join(0.005)
        return most


@pytest.mark.parametrize("illness", ILLNESSES)
def test_an_ill_shadow_is_not_felt(echo: Echo, illness: str) -> None:
    """Whatever a shadow does, all callers get their answers, copies keep to their places, and each is accounted for."""
    with Ill(illness) as ill, Proxy(yaml(echo, ill.port)) as proxy:
        callers = Callers(proxy)
        most = callers.join()
        assert callers.wrong == []
        assert callers.right == CALLERS * EACH
        assert most <= PLACES
        assert proxy.codes() == {"200": CALLERS * EACH}
        assert proxy.all_faults() == {}
        wait_until(lambda: under_way(proxy) == 0, "the end of all copies")
        wait_until(lambda: sum(results(proxy).values()) == CALLERS * EACH, "an account of each copy")
        assert proxy.server.shadows._under_way == set()
        assert not proxy.server.shadows._waiting


@pytest.mark.parametrize("illness", ["never answers", "reads nothing", "never accepts"])
def test_callers_are_answered_while_a_stalled_shadow_holds_every_place(echo: Echo, illness: str) -> None:
    """The places are all taken and stay so; more than they are have been answered since: nobody waited for one."""
    patient = yaml(echo, 0).replace("300ms", "60s").replace("total: 1s", "total: 60s")
    with Ill(illness) as ill, Proxy(patient.replace("127.0.0.1:0'", f"127.0.0.1:{ill.port}'")) as proxy:
        callers = Callers(proxy)
        callers.join()
        assert callers.wrong == []
        assert callers.right == CALLERS * EACH
        assert under_way(proxy) == PLACES
        assert results(proxy) == {"dropped_inflight": CALLERS * EACH - PLACES}
        for endpoint in proxy.server.shadows.pools["s"].endpoints:
            assert endpoint._connections <= PLACES


def test_reloads_under_load_with_a_stalled_shadow(echo: Echo) -> None:
    """Shadows come and go with the configuration, and no caller notices."""
    with Ill("never answers") as ill, Proxy(yaml(echo, ill.port)) as proxy:
        plain = yaml(echo, ill.port).partition(", shadow:")[0] + "}]\n"
        callers = Callers(proxy)
        for number in range(10):
            proxy.swap(plain if number % 2 == 0 else yaml(echo, ill.port))
        callers.join()
        assert callers.wrong == []
        assert callers.right == CALLERS * EACH
        wait_until(lambda: under_way(proxy) == 0, "the end of all copies")


def test_a_breaker_spares_an_ill_shadow_and_the_primary_of_the_same_target(echo: Echo) -> None:
    """After some failures in a row no more copies are sent; the target's own traffic is judged apart."""
    text = yaml(echo, 1).replace("consecutive: 0", "consecutive: 3")  # nobody listens on port 1
    with Proxy(text) as proxy:
        callers = Callers(proxy)
        callers.join()
        assert callers.wrong == []
        wait_until(lambda: sum(results(proxy).values()) == CALLERS * EACH, "an account of each copy")
        assert results(proxy)["dropped_unavailable"] > 0
        assert proxy.server.pools["s"].direct
        assert proxy.server.pools["s"].endpoints[0].breaker.register.openings == 0


def test_memory_of_a_flooded_router_is_bounded(echo: Echo) -> None:
    """What an endless answer is made of is not held: of each copy no more than is compared."""
    with Ill("floods") as ill, Proxy(yaml(echo, ill.port)) as proxy:
        seen: list[int] = []

        def look() -> None:
            seen.extend(len(copy.body or b"") + len(copy.held) for copy in proxy.server.shadows._under_way)

        callers = Callers(proxy)
        for _ in range(50):
            proxy.call(look)
        callers.join()
        assert callers.wrong == []
        assert max(seen, default=0) <= 256 * 1024
