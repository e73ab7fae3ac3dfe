import asyncio

import pytest

from control_plane.executions.turns import FairTurns

pytestmark = pytest.mark.unit


class Crossing:
    """Where turns are taken, and in which order they began."""

    def __init__(self, most: int, *, each: int | None = None) -> None:
        self.turns = FairTurns(most, each=each)
        self.order: list[str] = []
        self.inside = 0
        self.most_inside = 0

    async def cross(self, key: str) -> None:
        async with self.turns.of(key):
            self.order.append(key)
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            await asyncio.sleep(0)
            self.inside -= 1


async def test_no_more_than_so_many_have_their_turn_at_once() -> None:
    crossing = Crossing(3)

    await asyncio.gather(*(crossing.cross("a") for _ in range(20)))

    assert crossing.most_inside == 3
    assert len(crossing.order) == 20


async def test_who_asks_for_one_is_not_behind_who_asks_for_many() -> None:
    crossing = Crossing(1)

    await asyncio.gather(*(crossing.cross("many") for _ in range(50)), crossing.cross("one"))

    assert crossing.order.index("one") <= 2


async def test_of_one_key_no_more_than_so_many_have_their_turn_at_once() -> None:
    crossing = Crossing(8, each=2)

    await asyncio.gather(*(crossing.cross("a") for _ in range(20)))

    assert crossing.most_inside == 2
    assert len(crossing.order) == 20


async def test_who_comes_while_many_of_another_key_wait_has_a_turn_at_once() -> None:
    crossing = Crossing(3, each=2)
    async with crossing.turns.of("a"), crossing.turns.of("a"):
        waiting = asyncio.create_task(crossing.cross("a"))
        await asyncio.sleep(0)

        await asyncio.wait_for(crossing.cross("b"), 5)

    await asyncio.wait_for(waiting, 5)
    assert crossing.order == ["b", "a"]


async def test_keys_take_turns_in_order() -> None:
    crossing = Crossing(1)

    await asyncio.gather(*(crossing.cross(key) for key in "aaabbbccc"))

    assert "".join(crossing.order) == "aabcabcbc"


async def test_a_turn_given_to_somebody_who_has_just_given_up_goes_to_the_next() -> None:
    turns = FairTurns(1)
    crossing = Crossing(1)
    crossing.turns = turns
    async with turns.of("first"):
        quitter = asyncio.create_task(crossing.cross("quitter"))
        patient = asyncio.create_task(crossing.cross("patient"))
        await asyncio.sleep(0)
    quitter.cancel()

    await asyncio.wait_for(patient, 5)

    assert crossing.order == ["patient"]


async def test_somebody_who_gives_up_while_waiting_costs_nobody_a_turn() -> None:
    crossing = Crossing(1)
    async with crossing.turns.of("first"):
        quitter = asyncio.create_task(crossing.cross("quitter"))
        await asyncio.sleep(0)
        quitter.cancel()
        await asyncio.sleep(0)

    await asyncio.wait_for(crossing.cross("next"), 5)

    assert crossing.order == ["next"]
