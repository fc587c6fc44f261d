"""Tells addresses of this machine from those of others."""

from __future__ import annotations

import ipaddress

__all__ = ["is_loopback"]


def is_loopback(host: str) -> bool:
    """Return True if only this machine can connect to a server at this name or address.

    Args:
        host: a name or an IP address, without brackets or a port.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("LocalHost")
        (True, True, True)
        >>> is_loopback("0.0.0.0"), is_loopback("example.org")
        (False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
