"""How long a rollout takes."""

from router.rollout.times import times
from tests.rollout.build import experiment


def test_the_recipe_takes_at_least_its_holds_and_has_no_end_without_deadlines() -> None:
    """Shadow 1 h, 1 % and 5 % a day each, 25 % 12 h, full share 1 h, bake 10 min."""
    took = times(experiment("keep_control: 5%").allocate)
    assert took.shortest_s == 3600 * (1 + 24 + 24 + 12 + 1) + 600
    assert took.longest_s is None
    assert took.unbounded == ("stage 1", "stage 2", "stage 3", "stage 4")


def test_deadlines_that_end_a_stage_bound_it() -> None:
    """A deadline after which a release only holds bounds nothing."""
    ends = "{share: 5%, hold: 1h, deadline: 2h, on_deadline: abort}"
    assert times(experiment(f"stages: [{ends}], bake: 10m").allocate) == (4200.0, 7800.0, ())
    holds = "{share: 50%, hold: 1h, deadline: 2h}"
    assert times(experiment(f"stages: [{ends}, {holds}]").allocate).unbounded == ("stage 2",)
