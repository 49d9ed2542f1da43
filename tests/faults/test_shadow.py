"""A shadow that stalls, dies, flaps and returns, while every request is copied to it."""

from pathlib import Path

from tests.e2e.running import wait_until
from tests.faults.load import Load
from tests.faults.site import standing


def test_no_shadow_costs_a_request(tmp_path: Path) -> None:
    """Stopped, killed, started and killed again: every request is answered by its target, once, and memory stays."""
    with standing(tmp_path, "t", "copy") as site:
        site.configure(
            "{name: t, endpoints: [{t}], pool: {idle: 1s}}, "
            "{name: copy, endpoints: [{copy}], pool: {idle: 1s}, timeouts: {first_byte: 1s, total: 2s}}",
            "{name: all, target: t, shadow: [{target: copy, share: 100%, inflight: 16, body_bytes: 64KiB}]}",
        )
        site.start()
        before = site.warmed()
        wait_until(site.targets["copy"].ran, "copies")
        with Load(site.router.port) as load:
            load.run()
            site.targets["copy"].stop()
            load.run(1000)
            site.targets["copy"].kill()
            load.run()
            for _ in range(3):
                site.targets["copy"].start()
                load.run(100)
                site.targets["copy"].kill()
                load.run(100)
        assert load.outcomes.failures() == []
        assert set(load.outcomes.right.values()) == {"t"}
        ran = site.targets["t"].ran()
        assert [ran[number] for number in load.outcomes.right if ran[number] != 1] == []
        site.assert_nothing_leaked(before)
