import os
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from control_plane.secrets.encryption import Keyring, Place, Sealed, Tampered, UnknownKey

pytestmark = pytest.mark.unit

OLD, NEW = os.urandom(32), os.urandom(32)
VALUE = b"sk-canary-0123456789"
ACME = UUID("00000000-0000-0000-0000-00000000acee")
PLACE = Place(ACME, "openweather", 1)


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.fixture
def keyring() -> Keyring:
    return Keyring([NEW, OLD])


def test_what_was_sealed_for_a_place_is_opened_there(keyring: Keyring) -> None:
    sealed = keyring.seal(VALUE, PLACE)

    assert keyring.open(sealed, PLACE) == VALUE
    assert VALUE not in sealed.ciphertext


def test_the_same_value_never_looks_the_same(keyring: Keyring) -> None:
    sealed = [keyring.seal(VALUE, PLACE) for _ in range(100)]

    assert len({one.ciphertext for one in sealed}) == 100
    assert len({one.wrapped_key for one in sealed}) == 100


@pytest.mark.parametrize(
    "elsewhere",
    [replace(PLACE, organization_id=uuid4()), replace(PLACE, name="other"), replace(PLACE, version=2)],
    ids=["organization", "name", "version"],
)
def test_a_value_that_was_moved_is_not_opened(keyring: Keyring, elsewhere: Place) -> None:
    sealed = keyring.seal(VALUE, PLACE)

    with pytest.raises(Tampered):
        keyring.open(sealed, elsewhere)


@pytest.mark.parametrize("position", [0, 11, 12, -17, -1])
@pytest.mark.parametrize("part", ["wrapped_key", "ciphertext"])
def test_a_changed_bit_is_noticed(keyring: Keyring, part: str, position: int) -> None:
    sealed = keyring.seal(VALUE, PLACE)
    stored = getattr(sealed, part)
    changed = replace(sealed, **{part: flipped(stored, position % len(stored))})

    with pytest.raises(Tampered):
        keyring.open(changed, PLACE)


@pytest.mark.parametrize("part", ["wrapped_key", "ciphertext"])
@pytest.mark.parametrize("length", [0, 5, 12, 20])
def test_a_shortened_value_is_noticed(keyring: Keyring, part: str, length: int) -> None:
    sealed = keyring.seal(VALUE, PLACE)
    cut = replace(sealed, **{part: getattr(sealed, part)[:length]})

    with pytest.raises(Tampered):
        keyring.open(cut, PLACE)


def test_a_ciphertext_under_the_data_key_of_another_value_is_noticed(keyring: Keyring) -> None:
    first, second = keyring.seal(VALUE, PLACE), keyring.seal(VALUE, PLACE)

    with pytest.raises(Tampered):
        keyring.open(replace(first, ciphertext=second.ciphertext), PLACE)


def test_a_key_that_claims_to_be_under_another_master_key_is_noticed(keyring: Keyring) -> None:
    sealed = Keyring([OLD]).seal(VALUE, PLACE)

    with pytest.raises(Tampered):
        keyring.open(replace(sealed, key_id=keyring.newest), PLACE)


def test_every_key_opens_and_the_first_seals(keyring: Keyring) -> None:
    before = Keyring([OLD]).seal(VALUE, PLACE)

    after = keyring.seal(VALUE, PLACE)

    assert keyring.open(before, PLACE) == VALUE
    assert Keyring([NEW]).open(after, PLACE) == VALUE


def test_a_value_under_a_key_that_we_do_not_have_names_the_key() -> None:
    sealed = Keyring([OLD]).seal(VALUE, PLACE)

    with pytest.raises(UnknownKey, match=sealed.key_id):
        Keyring([NEW]).open(sealed, PLACE)


def test_wrapping_anew_leaves_the_value_as_it_is_and_needs_the_old_key_no_more(keyring: Keyring) -> None:
    before = Keyring([OLD]).seal(VALUE, PLACE)

    after = keyring.rewrap(before, PLACE)

    assert after.ciphertext == before.ciphertext
    assert after.key_id == keyring.newest
    assert Keyring([NEW]).open(after, PLACE) == VALUE


def test_an_id_tells_keys_apart_and_is_not_part_of_one() -> None:
    ids = {Keyring([key]).newest for key in (OLD, NEW)}

    assert len(ids) == 2
    assert [found for found in ids if found in OLD.hex() or found in NEW.hex()] == []


def test_neither_keys_nor_values_are_rendered(keyring: Keyring) -> None:
    sealed: Sealed = keyring.seal(VALUE, PLACE)

    shown = f"{keyring!r} {keyring} {sealed!r} {vars(keyring)}"

    assert [part for part in (VALUE.decode(), NEW.hex(), OLD.hex(), repr(NEW), repr(OLD)) if part in shown] == []


def test_without_the_setting_there_is_no_keyring() -> None:
    assert Keyring.of(None) is None


def test_keys_come_from_the_setting_in_its_order() -> None:
    setting = SecretStr("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, _-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")

    keyring = Keyring.of(setting)

    assert keyring is not None
    assert keyring.newest == Keyring([bytes(32)]).newest
    assert keyring.open(Keyring([b"\xff\xe0" + bytes(30)]).seal(VALUE, PLACE), PLACE) == VALUE
