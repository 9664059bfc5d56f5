"""What the API promises and JSON Schema cannot express, as an oracle beside Schemathesis' own checks.

Two of them judge requests by the OpenAPI document alone. Where a rule spans two parameters, looks at the calendar or
normalises Unicode, the document is too weak, and what is written here decides instead. It judges the request as it was
sent, not as it was meant to be.
"""

import datetime
import json
import re
import unicodedata
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import schemathesis
from hypothesis import strategies
from schemathesis.checks import CHECKS
from schemathesis.specs.openapi import checks

MAX_TARGET, MAX_BODY, MAX_NAME = 4096, 8 << 10, 64
# Letters to Unicode, but nothing to be seen.
INVISIBLE = set("\u115f\u1160\u3164\uffa0")
FIRST_DAY = datetime.date(1900, 1, 1)
YEAR_9999 = datetime.date(9999, 12, 31)


def today():
    return datetime.datetime.now(datetime.timezone.utc).date()


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Mostly names that are accepted, likewise: the document's pattern is one that all programs understand, and weaker."""
    for item in raw_schema["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if "pattern" in parameter["schema"]:
                    parameter["schema"]["pattern"] = r"^\p{L}+$"


# Mostly dates that are accepted, so that users exist; the others test the limits.
schemathesis.openapi.format(
    "date",
    strategies.one_of(
        strategies.dates(FIRST_DAY, today() - datetime.timedelta(days=1)),
        strategies.sampled_from([FIRST_DAY, today() - datetime.timedelta(days=1), datetime.date(2000, 2, 29)]),
        strategies.dates(FIRST_DAY.replace(year=1), YEAR_9999),
    ).map(str),
)


def name_is_valid(segment):
    """Whether a path segment is a user name; None when this version of Unicode does not know its letters."""
    try:
        name = unicodedata.normalize("NFC", unquote_to_bytes(segment).decode())
    except UnicodeDecodeError:
        return False
    categories = [unicodedata.category(letter) for letter in name]
    if "Cn" in categories:
        return None
    letters = all(category.startswith("L") for category in categories) and not INVISIBLE & set(name)
    return 1 <= len(name) <= MAX_NAME and letters


def names_in(path):
    """The path's segments that name users."""
    match path.split("/")[1:]:
        case ["hello", username] | ["users", username, "friends"] | ["users", username, "friends", "birthdays"]:
            return [username]
        case ["users", username, "friends", friend]:
            return [username, friend]
        case _:
            return []


def same_user(one, other):
    def normalised(segment):
        return unicodedata.normalize("NFC", unquote_to_bytes(segment).decode())

    return normalised(one) == normalised(other)


def date_is_valid(text):
    try:
        # The library alone also reads weeks and dates without hyphens.
        date = datetime.date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        return False
    return date is not None and FIRST_DAY <= date < today()


def refusal(request):
    """The status and type of the problem that is due to a request although it fits the schema; None when it is right."""
    target = urlsplit(request.url)
    names = names_in(target.path)
    query = dict(parse_qsl(target.query, keep_blank_values=True))
    if len(request.path_url) > MAX_TARGET:
        return 414, "uri-too-long"
    if any(name_is_valid(name) is False for name in names):
        return 400, "invalid-username"
    if len(names) == 2 and same_user(*names):
        return 400, "self-friendship"
    if "prefix" in query and "birthdayWithin" in query:
        return 400, "invalid-query"
    if len(unicodedata.normalize("NFC", query.get("prefix", ""))) > MAX_NAME:
        return 400, "invalid-query"
    if request.method == "PUT" and target.path.startswith("/hello/"):
        if len(request.body) > MAX_BODY:
            return 413, "body-too-large"
        if not date_is_valid(json.loads(request.body)["dateOfBirth"]):
            return 400, "invalid-body"
    return None


def may_be_refused(request):
    """Whether only the service can decide: cursors are opaque, and it may know a newer version of Unicode."""
    target = urlsplit(request.url)
    return "cursor=" in target.query or any(name_is_valid(name) is None for name in names_in(target.path))


def replaces(builtin):
    """Registers a check in the place of one of Schemathesis' own, which it may call."""
    CHECKS.unregister(builtin.__name__)
    return schemathesis.check


@replaces(checks.positive_data_acceptance)
def positive_data_acceptance(ctx, response, case):
    """A request that fits the schema is accepted, or refused with the problem of the rule that it breaks."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.request.method != case.operation.method.upper():
        return None
    expected = refusal(response.request)
    if expected is not None:
        found = response.status_code, response.json().get("type", "").removeprefix("/problems/")
        assert found == expected, f"the answer should be {expected}, not {found}"
        return None
    if response.status_code == 400 and may_be_refused(response.request):
        return None
    return checks.positive_data_acceptance(ctx, response, case)


@replaces(checks.negative_data_rejection)
def negative_data_rejection(ctx, response, case):
    """A request that breaks the schema is refused, except for names that normalisation makes valid, and for names that only
    Schemathesis considers invalid: its `\\p{L}` has fewer letters."""
    names = names_in(urlsplit(response.request.url).path)
    if any("%" in name and name_is_valid(name) is not False for name in names):
        return None
    return checks.negative_data_rejection(ctx, response, case)


@replaces(checks.use_after_free)
def use_after_free(ctx, response, case):
    """What is deleted is gone, except for the state of two people, which is then that they are no friends."""
    if len(names_in(urlsplit(response.request.url).path)) == 2:
        return None
    return checks.use_after_free(ctx, response, case)
