"""Asks a running service with a client that openapi-python-client has made of the service's own document.

  generated.py FOLDER ADDRESS     FOLDER holds the package hello_client
"""

import datetime
import sys

sys.path.insert(0, sys.argv[1])

from hello_client import Client  # noqa: E402
from hello_client.api.friends import delete_friendship, get_friendship, put_friendship  # noqa: E402
from hello_client.api.hello import forget, greet, put_date_of_birth  # noqa: E402
from hello_client.api.users import list_users  # noqa: E402
from hello_client.models import DateOfBirthBody, FriendshipStatus, Greeting, Problem, UserPage  # noqa: E402


def main():
    client = Client(base_url=f"http://{sys.argv[2]}")
    names = ["generatedA", "generatedB"]
    for name in names:
        body = DateOfBirthBody(date_of_birth=datetime.date(1990, 5, 1))
        answer = put_date_of_birth.sync_detailed(name, client=client, body=body)
        assert answer.status_code == 204, answer
    greeting = greet.sync(names[0], client=client)
    assert isinstance(greeting, Greeting) and names[0] in greeting.message, greeting

    page = list_users.sync(client=client, limit=1, prefix="generated")
    assert isinstance(page, UserPage) and [user.username for user in page.users] == names[:1], page
    page = list_users.sync(client=client, cursor=page.next_cursor, prefix="generated")
    assert [user.username for user in page.users] == names[1:], page

    assert put_friendship.sync_detailed(*names, client=client).status_code // 100 == 2
    state = get_friendship.sync(*names, client=client)
    assert isinstance(state, FriendshipStatus) and state.state, state
    assert delete_friendship.sync_detailed(*names, client=client).status_code == 204

    # What is wrong, and where.
    problem = list_users.sync(client=client, limit=0)
    assert isinstance(problem, Problem) and problem.errors[0].parameter == "limit", problem
    body = DateOfBirthBody(date_of_birth=datetime.date(1800, 1, 1))
    problem = put_date_of_birth.sync(names[0], client=client, body=body)
    assert isinstance(problem, Problem) and problem.errors[0].pointer == "#/dateOfBirth", problem

    for name in names:
        assert forget.sync_detailed(name, client=client).status_code == 204
    assert isinstance(greet.sync(names[0], client=client), Problem)


main()
