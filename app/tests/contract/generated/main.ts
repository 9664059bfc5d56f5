// Asks a running service with a TypeScript client that openapi-generator has made of the service's own document.
//
//   node main.js ADDRESS
import { Configuration, FriendsApi, FriendshipState, HelloApi, ProblemFromJSON, ResponseError, UsersApi } from "./client";
import type { Problem } from "./client";

declare const process: { argv: string[] };

function check(ok: boolean, seen: unknown): void {
  if (!ok) {
    throw new Error(JSON.stringify(seen));
  }
}

/** The status and the problem that a call is refused with. */
async function problemOf(call: Promise<unknown>): Promise<{ status: number; problem: Problem }> {
  const refused = await call.then(() => undefined, (error: unknown) => error);
  if (!(refused instanceof ResponseError)) {
    throw new Error(`not refused: ${refused}`);
  }
  return { status: refused.response.status, problem: ProblemFromJSON(await refused.response.json()) };
}

async function main(): Promise<void> {
  const configuration = new Configuration({ basePath: `http://${process.argv[2]}` });
  const hello = new HelloApi(configuration);
  const users = new UsersApi(configuration);
  const friends = new FriendsApi(configuration);
  const [username, friend] = ["typescriptA", "typescriptB"];
  for (const name of [username, friend]) {
    const dateOfBirthBody = { dateOfBirth: new Date("1990-05-01T00:00:00Z") };
    const answer = await hello.putDateOfBirthRaw({ username: name, dateOfBirthBody });
    check(answer.raw.status === 204, answer.raw.status);
  }
  const greeting = await hello.greetRaw({ username });
  check((await greeting.value()).message.includes(username), greeting);
  const ifMatch = greeting.raw.headers.get("etag") ?? "";

  let page = await users.listUsers({ limit: 1, prefix: "typescript" });
  check(page.users.length === 1 && page.users[0]?.username === username, page);
  check(page.users[0]?.dateOfBirth.toISOString().startsWith("1990-05-01") ?? false, page);
  page = await users.listUsers({ cursor: page.nextCursor, prefix: "typescript" });
  check(page.users.length === 1 && page.users[0]?.username === friend, page);

  await friends.putFriendship({ username, friend });
  const status = await friends.getFriendship({ username, friend });
  check(status.state === FriendshipState.Pending, status);
  await friends.deleteFriendship({ username, friend });

  // What is wrong, and where.
  const limit = await problemOf(users.listUsers({ limit: 0 }));
  check(limit.problem.errors?.[0]?.parameter === "limit", limit);
  const dateOfBirthBody = { dateOfBirth: new Date("1800-01-01T00:00:00Z") };
  const early = await problemOf(hello.putDateOfBirth({ username, dateOfBirthBody }));
  check(early.problem.errors?.[0]?.pointer === "#/dateOfBirth", early);

  const failed = await problemOf(hello.forget({ username, ifMatch: '"other"' }));
  check(failed.status === 412, failed);
  await hello.forget({ username, ifMatch });
  await hello.forget({ username: friend });
  check((await problemOf(hello.greet({ username }))).status === 404, "greeted");
}

main();
