"""Free and busy ports."""

from __future__ import annotations

import socket

from interplay.launcher.ports import free_port, free_ports, is_bindable


def test_free_ports_are_different_and_bindable() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_bindable("127.0.0.1", port) for port in ports)


def test_a_port_that_is_listened_on_is_not_bindable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_bindable("127.0.0.1", port)
    assert is_bindable("127.0.0.1", port)


def test_free_port_is_a_port() -> None:
    assert 1024 <= free_port() <= 65535
