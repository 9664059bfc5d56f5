"""Looks at the app's pages in Chromium, and uses them as people do.

    pages.py ORIGIN CLOSED PROFILE AXE PICTURES

CLOSED is the origin of an app that needs tokens, AXE is the script with the rules of accessibility. Exits with what is wrong, if anything is.
"""

import json
import sys
import urllib.request
from pathlib import Path

from browser import Browser

LIMIT = 100_000  # bytes over the wire, headers included
PAGES = ("/docs", "/", "/problems")
TAB, ENTER = ("Tab", 9), ("Enter", 13)


def complaints(browser, origin):
    """Defects that no page may have."""
    for request in browser.of("Network.requestWillBeSent"):
        # Data are the browser's own symbols in fields; the policy permits the page none.
        if not request["request"]["url"].startswith((f"{origin}/", "data:")):
            yield f"asked for {request['request']['url']}"
    for answer in browser.of("Network.responseReceived"):
        # Browsers ask for an icon by themselves.
        if answer["response"]["status"] != 200 and not answer["response"]["url"].endswith("/favicon.ico"):
            yield f"{answer['response']['url']} answered {answer['response']['status']}"
    for failure in browser.of("Network.loadingFailed"):
        yield f"a request failed: {failure['errorText']}"
    for entry in browser.of("Log.entryAdded"):
        yield f"console: {entry['entry']['text']} ({entry['entry'].get('url')})"
    for entry in browser.of("Runtime.consoleAPICalled") + browser.of("Runtime.exceptionThrown"):
        yield f"console: {entry}"


def operations(origin):
    document = json.load(urllib.request.urlopen(f"{origin}/openapi.json", timeout=10))
    return [(method.upper(), path, operation["summary"])
            for path, item in document["paths"].items() for method, operation in item.items()]


def check_documentation(browser, origin):
    text = browser.evaluate("document.body.innerText")
    listed = operations(origin)
    if not listed:
        yield "the document has no operations"
    for method, path, summary in listed:
        if f"{method} {path}" not in " ".join(text.split()) or summary not in text:
            yield f"{method} {path} ({summary}) is not shown"
    if not browser.evaluate("document.styleSheets.length === 1 && document.styleSheets[0].cssRules.length > 0"):
        yield "the style sheet has no effect"
    dangling = browser.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.getElementById(a.hash.slice(1))).map(a => a.hash)")
    if dangling:
        yield f"links lead nowhere: {dangling}"


def inaccessible(browser, axe):
    """Rules of accessibility that the page breaks as it is now."""
    browser.evaluate(axe)
    found = browser.evaluate("axe.run().then(({ violations }) => violations.map(({ id, help, nodes }) =>"
                             " `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' ')}`))")
    return [f"accessibility: {violation}" for violation in found]


def look_at(browser, origin, page, axe, pictures):
    """Opens a page, wide and narrow, light and dark; returns what is wrong with it."""
    browser.open(origin + page)
    name = page.strip("/") or "landing"
    if page == "/" and not browser.wait_until("document.querySelectorAll('#birthdays li').length"):
        yield "shows no birthdays"
    if page == "/docs":
        yield from check_documentation(browser, origin)
    for look, width, dark in (("", 1100, False), ("-narrow", 360, False), ("-dark", 1100, True)):
        browser.look(width=width, dark=dark)
        if browser.evaluate("document.documentElement.scrollWidth > innerWidth"):
            yield f"is wider than a window of {width} pixels"
        yield from inaccessible(browser, axe)
        browser.screenshot(pictures / f"{name}{look}.png")
    browser.look()
    yield from complaints(browser, origin)
    size = sum(end["encodedDataLength"] for end in browser.of("Network.loadingFinished"))
    print(f"browser: {page}: {len(browser.of('Network.requestWillBeSent'))} requests, {size:.0f} bytes")
    if not 0 < size <= LIMIT:
        yield f"took {size:.0f} bytes, not at most {LIMIT}"


def focused(browser):
    return browser.evaluate("document.activeElement.name || document.activeElement.tagName")


def greet_by_keyboard(browser, origin, pictures):
    """Enters a name and a date on the landing page without a pointer; then a name that is refused."""
    browser.open(origin)
    if not browser.wait_until("document.querySelectorAll('#birthdays li').length"):
        yield "shows no birthdays"
    browser.press(*TAB)
    if focused(browser) != "name":
        yield f"the first field is {focused(browser)}"
    browser.type("Zoë")
    browser.press(*TAB)
    # A field for dates has parts, whose order depends on the language of the browser.
    browser.evaluate("document.querySelector('[name=date]').value = '1990-04-23'")
    if focused(browser) != "date":
        yield f"the second field is {focused(browser)}"
    browser.press(*ENTER)
    if not browser.wait_until("document.getElementById('greeting').textContent.startsWith('Hello, Zoë! ')"):
        yield f"says {browser.evaluate('document.body.innerText')}"
    browser.screenshot(pictures / "greeting.png")
    status = urllib.request.urlopen(f"{origin}/hello/Zo%C3%AB", timeout=30).status
    if status != 200:
        yield f"stored nothing: {status}"
    # Nothing of these is run, and none of them reaches another path.
    for wrong, words in (("<img src=x>", "letters only"), ("..", "consists of dots"), ("a/b", "letters only")):
        browser.evaluate("document.querySelector('[name=name]').value = ''; document.querySelector('[name=name]').focus()")
        browser.type(wrong)
        browser.press(*ENTER)
        if not browser.wait_until(f"document.querySelector('#greeting.error')?.textContent.includes({json.dumps(words)})"):
            yield f"{wrong}: says {browser.evaluate('document.body.innerText')}"
        if browser.evaluate("document.images.length"):
            yield f"{wrong}: became part of the page"


def try_operations(browser, origin, pictures):
    """Sends the requests of the documentation's forms, with their examples."""
    browser.open(f"{origin}/docs")
    for method, path, expected in (
        ("PUT", "/hello/{username}", "204"),
        ("GET", "/hello/{username}", "Your birthday is in"),
        ("GET", "/users", '"users": ['),
        ("DELETE", "/hello/{username}", "204"),
        ("GET", "/hello/{username}", '"type": "/problems/'),
    ):
        form = f"document.querySelector('form[data-method={method}][data-path=\"{path}\"]')"
        output = f"{form}.nextElementSibling.textContent"
        browser.evaluate(f"{form}.parentElement.open = true; {form}.nextElementSibling.textContent = '';"
                         f" {form}.querySelector('button').focus()")
        browser.press(*ENTER)
        if not browser.wait_until(f"{output}.includes({json.dumps(expected)})"):
            yield f"{method} {path}: {browser.evaluate(output)}"
    browser.screenshot(pictures / "tried.png")


def ask_for_token(browser, origin):
    """Greets where a token is needed: the page says so and shows where to enter it."""
    browser.open(origin)
    browser.evaluate("document.querySelector('[name=date]').value = '1990-04-23'; document.querySelector('[name=name]').focus()")
    browser.type("alice")
    browser.press(*ENTER)
    if not browser.wait_until("document.querySelector('#greeting.error') && document.getElementById('authorization').open"):
        yield f"says {browser.evaluate('document.body.innerText')}"


def main():
    origin, closed, profile, axe, pictures = sys.argv[1:]
    axe, pictures = Path(axe).read_text(), Path(pictures)
    browser = Browser(profile)
    try:
        wrong = [f"{page}: {what}" for page in PAGES for what in look_at(browser, origin, page, axe, pictures)]
        wrong += [f"/: {what}" for what in greet_by_keyboard(browser, origin, pictures)]
        wrong += [f"/docs: {what}" for what in try_operations(browser, origin, pictures)]
        wrong += [f"with tokens: {what}" for what in ask_for_token(browser, closed)]
        browser.close()
    finally:
        browser.process.kill()
    if wrong:
        sys.exit("browser: " + "\nbrowser: ".join(wrong))


main()
