import pytest

from control_plane.rate_limits import Buckets, Standing

pytestmark = pytest.mark.unit


class HandClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def buckets(clock: HandClock) -> Buckets:
    """Two tokens a second, three at most."""
    return Buckets(rate=2, burst=3, clock=clock)


def test_a_bucket_is_full_at_first_and_empties_by_one_at_a_time(buckets: Buckets) -> None:
    taken = [buckets.take(b"a") for _ in range(4)]

    assert taken == [
        Standing(allowed=True, remaining=2, wait=0),
        Standing(allowed=True, remaining=1, wait=0),
        Standing(allowed=True, remaining=0, wait=1),
        Standing(allowed=False, remaining=0, wait=1),
    ]


def test_a_bucket_fills_at_its_rate(buckets: Buckets, clock: HandClock) -> None:
    emptied = [buckets.take(b"a").allowed for _ in range(3)]

    clock.now += 0.5

    assert emptied == [True] * 3
    assert [buckets.take(b"a").allowed for _ in range(2)] == [True, False]


def test_asking_an_empty_bucket_does_not_put_off_its_filling(buckets: Buckets, clock: HandClock) -> None:
    emptied = [buckets.take(b"a").allowed for _ in range(4)]
    clock.now += 0.25
    early = buckets.take(b"a").allowed

    clock.now += 0.25

    assert (emptied[-1], early) == (False, False)
    assert buckets.take(b"a").allowed


def test_a_bucket_never_holds_more_than_its_burst(buckets: Buckets, clock: HandClock) -> None:
    buckets.take(b"a")

    clock.now += 3_600

    assert buckets.take(b"a").remaining == 2


def test_each_key_has_a_bucket_of_its_own(buckets: Buckets) -> None:
    emptied = [buckets.take(b"a").allowed for _ in range(4)]

    assert emptied[-1] is False
    assert buckets.take(b"b").allowed


def test_how_long_to_wait_is_told_in_whole_seconds_that_suffice(clock: HandClock) -> None:
    slow = Buckets(rate=0.4, burst=1, clock=clock)
    slow.take(b"a")
    wait = slow.take(b"a").wait

    clock.now += wait

    assert wait == 3
    assert slow.take(b"a").allowed


def test_no_more_buckets_are_kept_than_there_is_room_for(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Buckets, "MOST", 2)

    taken = [buckets.take(key).remaining for key in (b"a", b"a", b"b", b"a", b"c", b"b", b"a")]

    assert taken == [2, 1, 2, 0, 2, 2, 2]
    assert len(buckets._buckets) == 2
