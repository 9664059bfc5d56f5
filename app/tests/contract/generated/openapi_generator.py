"""Asks a running service with a Python client that openapi-generator has made of the service's own document.

  openapi_generator.py FOLDER ADDRESS     FOLDER holds the package openapi_client
"""

import datetime
import sys

sys.path.insert(0, sys.argv[1])

from openapi_client import ApiClient, ApiException, Configuration, DateOfBirthBody  # noqa: E402
from openapi_client import FriendsApi, FriendshipState, HelloApi, Problem, UsersApi  # noqa: E402


def problem_of(call, *arguments, **options):
    """The problem that a call is refused with."""
    try:
        call(*arguments, **options)
    except ApiException as refused:
        return refused.status, Problem.from_json(refused.body)
    raise AssertionError(f"{call.__name__} was not refused")


def main():
    client = ApiClient(Configuration(host=f"http://{sys.argv[2]}"))
    hello, users, friends = HelloApi(client), UsersApi(client), FriendsApi(client)
    names = ["pythonA", "pythonB"]
    for name in names:
        body = DateOfBirthBody(date_of_birth=datetime.date(1990, 5, 1))
        assert hello.put_date_of_birth_with_http_info(name, body).status_code == 204
    assert names[0] in hello.greet(names[0]).message

    page = users.list_users(limit=1, prefix="python")
    assert [user.username for user in page.users] == names[:1], page
    page = users.list_users(cursor=page.next_cursor, prefix="python")
    assert [user.username for user in page.users] == names[1:], page

    assert friends.put_friendship_with_http_info(*names).status_code == 201
    assert friends.get_friendship(*names).state == FriendshipState.PENDING
    assert [friend.username for friend in friends.list_friends(names[0]).friends] == names[1:]
    friends.delete_friendship(*names)

    # What is wrong, and where. The client itself refuses what the document forbids, so the calendar has to.
    status, problem = problem_of(hello.put_date_of_birth, names[0], DateOfBirthBody(date_of_birth=datetime.date(1800, 1, 1)))
    assert status == 400 and problem.errors[0].pointer == "#/dateOfBirth", problem
    status, problem = problem_of(users.list_users, cursor="x")
    assert status == 400 and problem.errors[0].parameter == "cursor", problem

    # A greeting that is known, and a condition that does not hold.
    tag = hello.greet_with_http_info(names[0]).headers["etag"]
    assert problem_of(hello.forget, names[0], if_match='"other"')[0] == 412
    assert hello.forget_with_http_info(names[0], if_match=tag).status_code == 204
    hello.forget(names[1])
    assert problem_of(hello.greet, names[0])[0] == 404


main()
