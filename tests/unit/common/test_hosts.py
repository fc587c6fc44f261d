"""The recognition of this machine's loopback addresses."""

from __future__ import annotations

import pytest

from tfd2l.common.hosts import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"])
def test_loopback_addresses_are_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "localhost.example.org"])
def test_other_addresses_are_not(host: str) -> None:
    assert not is_loopback(host)
