"""Which endpoints may be used: their one spelling when they are stored, and where they may lead when they are used.

An endpoint is a URL that somebody's browser, or an attacker, gave us, and Clarion sends requests to it. So it
must be HTTPS, and the addresses behind its name must all be public: they are looked up and checked for every
connection, and the connection goes to an address that was checked (`Pool` and `webpush_http1.py` connect to
nothing else). What the vendors run is found by name only: no list of them is needed, and self-hosted services
work. Called by `webpush.py` and its parts.
"""

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from clarion.http2 import Resolve
from clarion.model.push import InvalidAddress
from clarion.providers.webpush_encryption import BrowserKeys

MOST_ENDPOINT_OCTETS: Final = 2048

_ENDPOINT: Final = re.compile(
    r"""[Hh][Tt][Tt][Pp][Ss]://
    (?P<host> (?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*
            | \[[0-9A-Fa-f:.]{2,45}\] )
    (?: : (?P<port> [0-9]{1,5}) )?
    (?P<path> [/?] [!"$-\[\]-~]* )?""",
    re.VERBOSE | re.ASCII,
)
"""No user, no fragment, no blank and no backslash, which browsers read as a slash."""

HTTPS_PORT: Final = 443


class Origin(NamedTuple):
    """A push service as a connection sees it. The host is in lower case, brackets around an IPv6 address."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host, and the port unless it is 443."""
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"

    @property
    def bare_host(self) -> str:
        """The host without brackets, as sockets and certificates have it."""
        return self.host.strip("[]")

    def __str__(self) -> str:
        return f"https://{self.authority}"


class Subscription(NamedTuple):
    """A device's address, taken apart. `path` is untouched, with its query and its percent signs."""

    origin: Origin
    path: bytes
    keys: BrowserKeys


# ── When they are stored ─────────────────────────────────────────────────────────────────────────────────


def check_address(text: str) -> str:
    """Check a subscription in JSON, a browser's own or the stored one; returns the stored spelling.

    Raises InvalidAddress. What is kept: {"auth", "endpoint", "p256dh"}, base64url without padding.
    """
    given = _read_object(text)
    keys = given.get("keys", given)
    if not isinstance(keys, dict):
        raise InvalidAddress("keys must be an object with p256dh and auth")
    origin, path = _split_endpoint(given.get("endpoint"))
    checked = _read_keys(keys)
    kept = {
        "auth": _to_base64(checked.auth),
        "endpoint": f"{origin}{path}",
        "p256dh": _to_base64(checked.point),
    }
    return json.dumps(kept, separators=(",", ":"))


def read_address(text: str) -> Subscription:
    """Take an address apart, checking it as strictly as when it was stored; raises InvalidAddress."""
    given = _read_object(text)
    origin, path = _split_endpoint(given.get("endpoint"))
    return Subscription(origin, path.encode(), _read_keys(given))


def _read_object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise InvalidAddress("a subscription is a JSON object with endpoint, p256dh and auth")
    return given


def _split_endpoint(endpoint: object) -> tuple[Origin, str]:
    if not isinstance(endpoint, str) or len(endpoint) > MOST_ENDPOINT_OCTETS:
        raise InvalidAddress(f"endpoint must be a URL of at most {MOST_ENDPOINT_OCTETS} characters")
    found = _ENDPOINT.fullmatch(endpoint)
    if found is None:
        raise InvalidAddress("endpoint must be an https: URL in ASCII without a user and without a fragment")
    host, port, path = found["host"].lower(), int(found["port"] or HTTPS_PORT), found["path"] or "/"
    if not 0 < port < 1 << 16 or len(host) > 253 or (host[0] == "[" and _read_ip(host[1:-1]) is None):
        raise InvalidAddress("endpoint must have a host name and a port from 1 to 65535")
    return Origin(host, port), path if path[0] == "/" else f"/{path}"


def _read_keys(given: dict[str, Any]) -> BrowserKeys:
    point, auth = _read_base64("p256dh", given.get("p256dh")), _read_base64("auth", given.get("auth"))
    try:
        return BrowserKeys.read(point, auth)
    except ValueError as error:
        raise InvalidAddress(str(error)) from None


def _read_base64(name: str, value: object) -> bytes:
    """Read base64url or base64, with padding or without."""
    if not isinstance(value, str) or len(value) > 100:
        raise InvalidAddress(f"{name} must be base64url")
    bare = value.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=_altchars(bare), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidAddress(f"{name} must be base64url") from None


def _altchars(text: str) -> bytes | None:
    return None if "+" in text or "/" in text else b"-_"


def _to_base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


# ── When they are used ───────────────────────────────────────────────────────────────────────────────────


class ForbiddenAddress(OSError):  # noqa: N818 - it says what is forbidden
    """A name leads to an address that is not public."""


def make_resolver(origin: Origin, trusted_hosts: Collection[str], resolve: Resolve) -> Resolve:
    """Make the look-up of a push service's addresses, which raises ForbiddenAddress unless all are public.

    Trusted hosts, by `host` or `host:port`, may be anywhere.
    """
    names = {origin.host, f"{origin.host}:{origin.port}"}
    is_trusted = not names.isdisjoint(name.lower() for name in trusted_hosts)

    async def checked(host: str, port: int) -> Sequence[str]:
        addresses = await resolve(host, port)
        if not is_trusted and not all(is_public(address) for address in addresses):
            raise ForbiddenAddress("the endpoint leads to an address that is not public")
        return addresses

    return checked


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet (the registries of RFC 6890)."""
    ip = _read_ip(address)
    if ip is None:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
        if inner is None:
            return ip in _GLOBAL_IPV6 and not any(ip in network for network in _SPECIAL_IPV6)
        ip = inner
    return not any(ip in network for network in _SPECIAL_IPV4)


def _read_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


_SPECIAL_IPV4: Final = [
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, the clouds' metadata services among them
        "168.63.129.16/32",  # Azure's platform, as its machines see it
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_IPV6: Final = ipaddress.IPv6Network("2000::/3")
"""All that was ever assigned; loopback, link-local, private and multicast addresses lie outside."""

_SPECIAL_IPV6: Final = [
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocols, Teredo among them
        "2001:db8::/32", "3fff::/20",  # documentation
        "2002::/16",  # 6to4, which can lead to any IPv4 address
    )
]  # fmt: skip
