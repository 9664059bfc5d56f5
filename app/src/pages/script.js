// Forms of the landing page and of the documentation, which ask the service that has sent the page. They stay hidden where
// no script runs. What the service answers is shown as text only, whatever it contains.

const token = document.getElementById("token");

/** Asks the service. `path` is percent-encoded. */
async function ask(method, path, { headers = {}, body } = {}) {
  // Browsers remove segments of dots from an address, also encoded ones, and would ask for another path.
  if (new URL(path, location.origin).pathname !== path.split("?")[0]) {
    throw new Error("A name that consists of dots cannot be part of an address.");
  }
  const given = token.value.trim();
  const authorization = given ? { Authorization: `Bearer ${given}` } : {};
  const answer = await fetch(path, { method, body, headers: { ...authorization, ...headers }, credentials: "omit" });
  if (answer.status === 401) document.getElementById("authorization").open = true;
  return answer;
}

/** Why the service refused, in its own words. */
async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  const rules = (problem.errors ?? []).map((error) => error.detail);
  const reason = rules.length ? rules.join(" ") : problem.detail;
  return [problem.title ?? `The service answered ${answer.status}`, reason].filter(Boolean).join(": ");
}

/** Runs `work` when the form is sent, once at a time, and shows the text that it returns or the error that it throws. */
function onSubmit(form, output, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.disabled) return;
    button.disabled = true;
    output.textContent = "…";
    try {
      output.textContent = await work(form);
      output.classList.remove("error");
    } catch (error) {
      output.textContent = error instanceof TypeError ? `The service cannot be reached: ${error.message}` : error.message;
      output.classList.add("error");
    } finally {
      button.disabled = false;
    }
  });
}

async function accepted(answer) {
  if (!answer.ok) throw new Error(await refusal(answer));
  return answer;
}

/** Stores the date, if there is one, and returns the greeting. */
async function greet(form) {
  const path = `/hello/${encodeURIComponent(form.elements.name.value)}`;
  const dateOfBirth = form.elements.date.value;
  if (dateOfBirth) {
    const headers = { "Content-Type": "application/json" };
    await accepted(await ask("PUT", path, { headers, body: JSON.stringify({ dateOfBirth }) }));
  }
  const answer = await accepted(await ask("GET", path));
  const { message } = await answer.json();
  await showBirthdays();
  return message;
}

/** When a birthday is. */
function when(days) {
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(days, "day");
}

async function showBirthdays() {
  document.getElementById("upcoming").hidden = false;
  const list = document.getElementById("birthdays");
  const remark = document.getElementById("no-birthdays");
  try {
    const answer = await accepted(await ask("GET", "/users?birthdayWithin=366&limit=10"));
    const { users } = await answer.json();
    list.replaceChildren(...users.map(({ username, daysUntilBirthday }) => {
      const [item, name] = [document.createElement("li"), document.createElement("bdi")];
      name.textContent = username;
      item.append(name, `, ${when(daysUntilBirthday)}`);
      return item;
    }));
    remark.textContent = users.length ? "" : "There are none yet.";
  } catch (error) {
    list.replaceChildren();
    remark.textContent = error.message;
  }
}

/** Sends the request of a form of the documentation, and returns what was asked and answered. */
async function tryOut(form) {
  const { method } = form.dataset;
  let { path } = form.dataset;
  const [query, headers] = [new URLSearchParams(), {}];
  let body;
  for (const { name, value, dataset } of form.elements) {
    if (dataset.in === "path") path = path.replace(`{${name}}`, () => encodeURIComponent(value));
    else if (!value) continue;
    else if (dataset.in === "query") query.set(name, value);
    else if (dataset.in === "header") headers[name] = value;
    else if (dataset.in === "body") {
      headers["Content-Type"] = name;
      body = value;
    }
  }
  if (query.size) path += `?${query}`;
  const answer = await ask(method, path, { headers, body });
  const text = await answer.text();
  const lines = [`${method} ${path}`, `${answer.status} ${answer.statusText}`.trim()];
  answer.headers.forEach((value, name) => lines.push(`${name}: ${value}`));
  return [...lines, "", indented(text)].join("\n").trimEnd();
}

/** JSON on several lines; other text as it is. */
function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

const greeting = document.getElementById("greet");
if (greeting) {
  onSubmit(greeting, document.getElementById("greeting"), greet);
  greeting.hidden = false;
  showBirthdays();
}
for (const trial of document.querySelectorAll("details.try")) {
  onSubmit(trial.querySelector("form"), trial.querySelector("output"), tryOut);
  trial.hidden = false;
}
document.getElementById("authorization").hidden = false;
