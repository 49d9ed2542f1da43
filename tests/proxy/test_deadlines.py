"""The wheel: never early, at most two ticks late, whatever is moved, forgotten or done while it turns."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from router.proxy.deadlines import NEVER, TICK_S, Wheel

START = 1000.0


class Item:
    """Something watched."""

    def __init__(self, name: int = 0, then: Callable[["Item", float], None] | None = None) -> None:
        self.deadline = NEVER
        self.due = NEVER
        self.name = name
        self.expired: list[float] = []
        self._then = then

    def expire(self, now: float) -> None:
        """Note it."""
        self.expired.append(now)
        if self._then is not None:
            self._then(self, now)


actions = st.one_of(
    st.tuples(st.just("watch"), st.integers(0, 4), st.floats(-0.2, 3)),
    st.tuples(st.just("later"), st.integers(0, 4), st.floats(0, 3)),
    st.tuples(st.just("forget"), st.integers(0, 4), st.just(0.0)),
    st.tuples(st.just("advance"), st.just(0), st.floats(0, 1.5)),
)


@given(st.lists(actions, max_size=60))
def test_the_wheel_against_a_naive_model(script: list[tuple[str, int, float]]) -> None:
    """Each item expires once for each deadline: not before it, and at most two ticks after both it and its setting."""
    now = START
    wheel = Wheel(now)
    items = [Item(name) for name in range(5)]
    model: dict[int, float] = {}
    for action, name, amount in script:
        item = items[name]
        if action == "watch":
            wheel.watch(item, now + amount)
            model[name] = max(now + amount, now)  # one in the past is due now
        elif action == "later" and name in model:
            item.deadline = model[name] = max(model[name], now) + amount  # as the hot path does
        elif action == "forget":
            wheel.forget(item)
            model.pop(name, None)
        elif action == "advance":
            now += amount
            wheel.advance(now)
            for other in items:
                if other.expired:
                    assert other.expired == [now]
                    assert model.pop(other.name) <= now
                    other.expired.clear()
            assert all(deadline > now - 2 * TICK_S for deadline in model.values())
    for item in items:
        wheel.forget(item)
    assert not any(wheel._slots.values())


def test_never_is_not_watched() -> None:
    """An item without a deadline is in no slot, and moving it there takes it out when its slot comes."""
    wheel = Wheel(START)
    item = Item()
    wheel.watch(item, NEVER)
    wheel.watch(item, START + 1)
    item.deadline = NEVER
    wheel.advance(START + 10)
    assert item.expired == []
    assert item.due == NEVER


def test_an_expired_item_is_not_watched() -> None:
    """After it has expired an item rests until it is watched again."""
    wheel = Wheel(START)
    item = Item()
    wheel.watch(item, START + 1)
    wheel.advance(START + 2)
    wheel.advance(START + 100)
    assert len(item.expired) == 1


def test_watching_again_from_an_expiry() -> None:
    """An item may set its next deadline as it expires, even one that has passed."""
    wheel = Wheel(START)

    def again(item: Item, now: float) -> None:
        if len(item.expired) < 3:
            wheel.watch(item, now - 1)

    item = Item(then=again)
    wheel.watch(item, START + 0.1)
    for step in range(1, 6):
        wheel.advance(START + step)
    assert len(item.expired) == 3


def test_forgetting_another_from_an_expiry() -> None:
    """An item that another one forgets as it expires in the same slot does not expire."""
    wheel = Wheel(START)
    items: list[Item] = []

    def forget_others(item: Item, _: float) -> None:
        for other in items:
            if other is not item:
                wheel.forget(other)

    items += [Item(name, forget_others) for name in range(2)]
    for item in items:
        wheel.watch(item, START + 0.12)
    wheel.advance(START + 1)
    assert sum(len(item.expired) for item in items) == 1


def test_an_item_that_another_moves_from_an_expiry_waits() -> None:
    """An item that is given a later deadline as another expires in the same slot waits for it."""
    wheel = Wheel(START)
    second = Item()

    def move(_: Item, now: float) -> None:
        if not second.expired:
            wheel.watch(second, now + 5)

    first = Item(then=move)
    third = Item(then=move)
    for item in (first, second, third):
        wheel.watch(item, START + 0.12)
    wheel.advance(START + 0.3)
    wheel.advance(START + 20)
    assert len(second.expired) == 1  # at once, if its turn came before the others', or at the later time


def test_a_long_pause_expires_everything_due() -> None:
    """After the process stood still, one turn of the wheel makes up for all of it."""
    wheel = Wheel(START)
    items = [Item(name) for name in range(100)]
    for item in items:
        wheel.watch(item, START + item.name * 0.1)
    wheel.advance(START + 60)
    assert all(len(item.expired) == 1 for item in items)
