"""More callers than there are descriptors for."""

from pathlib import Path

from tests.e2e.running import SERVE
from tests.faults.load import Load
from tests.faults.site import standing

FEW = ("sh", "-c", 'ulimit -n 128; exec "$@"', "sh", *SERVE)


def test_callers_beyond_the_descriptors_wait_and_are_answered(tmp_path: Path) -> None:
    """Callers for whom a worker has no descriptor wait in the queue; each is answered, and nothing is left over."""
    with standing(tmp_path, "t") as site:
        site.configure("{name: t, endpoints: [{t}], pool: {max: 16, idle: 1s}}", "{name: all, target: t}")
        site.start(FEW)
        before = site.warmed()
        with Load(site.router.port, connections=200, kept=False) as load:
            load.run(1500)
        assert load.outcomes.failures() == []
        assert site.metric("router_accept_pauses_total") > 0
        site.assert_nothing_ran_twice(load)
        site.assert_nothing_leaked(before)
        assert site.router.ready()
