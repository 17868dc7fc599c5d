from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.backend.urls import normalize_base_url, route_url, segment, socket_url, without_secrets
from comfy_orchestrator_nodes.errors import InvalidUrl


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://host:8188", "http://host:8188"),
        ("http://host:8188/", "http://host:8188"),
        ("  https://Host.Example/  ", "https://host.example"),
        ("https://host/comfy/a/", "https://host/comfy/a"),
        ("https://host/with%20space/", "https://host/with%20space"),
        ("192.168.1.5:8188", "http://192.168.1.5:8188"),
        ("host", "http://host"),
        ("http://[::1]:8188/x", "http://[::1]:8188/x"),
        ("http://-xß.B", "http://-xss.b"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
    ],
)
def test_an_address_has_one_spelling(text: str, expected: str) -> None:
    assert normalize_base_url(text) == expected
    assert normalize_base_url(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "ftp://host",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://host:0",
        "http://host:99999",
        "http://host:port",
        "http://me:word@host",
        "http://me@host",
        "http://host/?token=x",
        "http://host/#x",
        "http://ho st",
        "http://host\r\nX: y",
        "http://host/\x00",
        "http://[::1",
        "http://[]@",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidUrl):
        normalize_base_url(text)


HOSTS = st.text(st.sampled_from("aB1.-_:[]@%/?#\\ éß\u3002\u2488\uff0f"), max_size=12)


@given(st.text(max_size=60) | HOSTS | HOSTS.map("https://{}".format))
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    try:
        normal = normalize_base_url(text)
    except InvalidUrl:
        return
    assert normalize_base_url(normal) == normal
    assert not normal.endswith("/")


def test_routes_are_put_below_the_prefix() -> None:
    base = normalize_base_url("https://host/comfy/")

    assert str(route_url(base, "/view", {"filename": "a b&c=ü?.png"})) == (
        "https://host/comfy/view?filename=a%20b%26c%3D%C3%BC%3F.png"
    )
    assert str(socket_url(base, "id")) == "wss://host/comfy/ws?clientId=id"
    assert str(socket_url("http://host:1", "id")) == "ws://host:1/ws?clientId=id"


def test_a_segment_cannot_leave_its_place() -> None:
    assert str(route_url("http://h", f"/object_info/{segment('../a/b?c#d%')}")) == (
        "http://h/object_info/..%2Fa%2Fb%3Fc%23d%25"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:word@host:1/a?token=x#y", "https://host:1/a"),
        ("/login?token=x", None),
        ("", None),
        ("http://[]@", None),
        ("http://h:99999999", None),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(text: str, expected: str | None) -> None:
    assert without_secrets(text) == expected


@given(HOSTS | HOSTS.map("https://{}".format))
def test_any_redirect_target_can_be_shown(text: str) -> None:
    without_secrets(text)
