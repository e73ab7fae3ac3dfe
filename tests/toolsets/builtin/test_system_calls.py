import struct

import pytest

from toolsets.builtin.sandbox.system_calls import system_call_filter

pytestmark = pytest.mark.unit

ALLOWED, FAILS = 0x7FFF0000, 0x00050026


def answer(machine: str, *, architecture: int, number: int) -> int:
    """What the filter says of a call, carried out as the kernel does."""
    program = [*struct.iter_unpack("=HBBI", system_call_filter(machine))]
    data = {0: number, 4: architecture}
    loaded = position = 0
    while True:
        code, yes, no, value = program[position]
        position += 1
        match code:
            case 0x20:
                loaded = data[value]
            case 0x15:
                position += yes if loaded == value else no
            case 0x35:
                position += yes if loaded >= value else no
            case 0x06:
                return int(value)


@pytest.mark.parametrize(
    ("machine", "architecture", "number"),
    [
        ("x86_64", 0xC000003E, 248),
        ("x86_64", 0xC000003E, 179),
        ("aarch64", 0xC00000B7, 219),
        ("aarch64", 0xC00000B7, 60),
    ],
)
def test_a_call_on_the_list_fails(machine: str, architecture: int, number: int) -> None:
    assert answer(machine, architecture=architecture, number=number) == FAILS


@pytest.mark.parametrize("number", [0, 1, 59, 178, 180, 251, 428, 500])
def test_other_calls_are_let_through(number: int) -> None:
    assert answer("x86_64", architecture=0xC000003E, number=number) == ALLOWED


def test_calls_of_another_architecture_fail() -> None:
    assert answer("x86_64", architecture=0x40000003, number=1) == FAILS
    assert answer("x86_64", architecture=0xC000003E, number=0x40000000 + 1) == FAILS


def test_a_machine_whose_numbers_are_not_known_has_no_filter() -> None:
    assert system_call_filter("riscv64") == b""
