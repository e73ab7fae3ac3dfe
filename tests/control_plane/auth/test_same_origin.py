"""Which places people may be sent to after signing in."""

import pytest

from control_plane.auth.same_origin import is_own_path

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("path", ["/", "/a", "/executions/1?tab=events&x=[]#end", "/a//b", "/a/../b", "/%2F%2Fevil"])
def test_a_path_on_this_server_is_ours(path: str) -> None:
    assert is_own_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "executions",
        "//evil.example.com",
        "///evil.example.com",
        "/\\evil.example.com",
        "\\/evil.example.com",
        "/\t/evil.example.com",
        "/\n/evil.example.com",
        "/a\r\nSet-Cookie: x=y",
        " /executions",
        "/a b",
        "https://evil.example.com",
        "https:evil.example.com",
        "javascript:alert(1)",
        "/\u00e4",
        "/\u2028",
        "/\x00",
        "/a\n",
        "/" + "a" * 1000,
    ],
)
def test_every_other_place_is_not(path: str) -> None:
    assert not is_own_path(path)
