"""Who and what is in the demonstration: people, who are roles and no names, their groups, and their devices.

Read by the rest of the demonstration and by tests.
"""

from typing import Final, NamedTuple

from clarion.model.access import Role

NAME: Final = "Demonstration"
TEAM: Final = "DEMO0TEAM0"
KEY_ID: Final = "DEMO0KEY00"
PHONE_APP: Final = "com.example.workplace"
TABLET_APP: Final = "com.example.workplace.tablet"
ANDROID_APP: Final = "com.example.workplace.android"
SITE: Final = "https://workplace.example.com"
PROJECT: Final = "demonstration-workplace"

SOLUTIONS: Final = ("sample-crm", "retail-promotions")
GROUPS: Final = {
    "sales": "sample-crm",
    "finance": "sample-crm",
    "managers": "sample-crm",
    "customers": "retail-promotions",
}


class Person(NamedTuple):
    """A member of the demonstration: a role, not a name."""

    email: str
    name: str
    role: Role
    solutions: tuple[str, ...]
    groups: tuple[str, ...]
    devices: tuple[tuple[str, str], ...]  # (app, model)


_PHONE, _MAX, _TABLET = (PHONE_APP, "iPhone 16"), (PHONE_APP, "iPhone 16 Pro Max"), (TABLET_APP, "iPad Air")
_PIXEL, _GALAXY = (ANDROID_APP, "Pixel 9"), (ANDROID_APP, "Galaxy S25")
_FIREFOX, _CHROME = (SITE, "Firefox on Linux"), (SITE, "Chrome on Windows")
_BOTH: Final = SOLUTIONS

PEOPLE: Final = (
    Person("admin@example.com", "Administrator", Role.ADMIN, _BOTH, ("managers",), (_PHONE, _FIREFOX)),
    Person("username@example.com", "Everyday user", Role.USER, _BOTH, ("customers",), (_PHONE, _TABLET)),
    Person("sales.lead@example.com", "Sales lead", Role.USER, ("sample-crm",), ("sales",), (_MAX, _TABLET)),
    Person("sales.desk@example.com", "Sales desk", Role.USER, ("sample-crm",), ("sales",), (_PHONE, _PIXEL)),
    Person(
        "sales.controller@example.com", "Sales controller", Role.USER,
        ("sample-crm",), ("sales", "finance"), (_PHONE, _MAX, _TABLET),
    ),
    Person(
        "finance.desk@example.com", "Finance desk", Role.USER,
        ("sample-crm",), ("finance",), (_PHONE, _CHROME),
    ),
    Person(
        "store.manager@example.com", "Store manager", Role.USER,
        ("retail-promotions",), ("customers",), (_MAX, _TABLET, _GALAXY),
    ),
    Person("new.starter@example.com", "New starter", Role.USER, ("sample-crm",), ("sales",), ()),
)  # fmt: skip
