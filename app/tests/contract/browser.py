"""Looks at the app's pages in a headless Chromium over its debugging pipe, so that no driver is needed.

    browser.py ORIGIN PROFILE PICTURES

Exits with what is wrong, if anything is.
"""

import base64
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

LIMIT = 100_000  # bytes over the wire, headers included
# Every other address is sent to a proxy that does not run; names are not even resolved.
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--proxy-server=http://127.0.0.1:9", "--proxy-bypass-list=<-loopback>;127.0.0.1",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1100,1400",
]


class Browser:
    """A Chromium that is driven through file descriptors 3 and 4: JSON texts, each ended by a NUL."""

    def __init__(self, profile):
        theirs_in, self.commands = os.pipe()
        self.messages, theirs_out = os.pipe()
        # The shell assigns the descriptors that Chromium expects.
        script = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec chromium "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer, self.last_id, self.session, self.events = b"", 0, None, []

    def read(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.messages, 1 << 16)
            if not piece:
                sys.exit("browser: Chromium ended early")
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, **parameters):
        """Sends a command and returns its result; what happens in between is kept as events."""
        self.last_id += 1
        command = {"id": self.last_id, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self.read()
            if message.get("id") == self.last_id:
                if "error" in message:
                    sys.exit(f"browser: {method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def wait_for(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.read())

    def of(self, method):
        return [event["params"] for event in self.events if event.get("method") == method]

    def open(self, url):
        """Opens a page in a new tab and waits until it has loaded."""
        self.session, self.events = None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Network.setCacheDisabled", cacheDisabled=True)
        self.events = []
        failure = self.call("Page.navigate", url=url).get("errorText")
        if failure:
            sys.exit(f"browser: {url}: {failure}")
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def screenshot(self, path):
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait(timeout=20)


def complaints(browser, origin):
    """Defects that no page may have."""
    for request in browser.of("Network.requestWillBeSent"):
        if not request["request"]["url"].startswith(f"{origin}/"):
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


def look_at(browser, origin, page, pictures):
    """Opens a page; returns the bytes it took and what is wrong with it."""
    browser.open(origin + page)
    wrong = list(complaints(browser, origin))
    if page == "/docs":
        wrong += check_documentation(browser, origin)
    if browser.evaluate("document.documentElement.scrollWidth > innerWidth"):
        wrong.append("is wider than the window")
    browser.screenshot(pictures / f"{page.strip('/') or 'landing'}.png")
    size = sum(end["encodedDataLength"] for end in browser.of("Network.loadingFinished"))
    print(f"browser: {page}: {len(browser.of('Network.requestWillBeSent'))} requests, {size:.0f} bytes")
    if not 0 < size <= LIMIT:
        wrong.append(f"took {size:.0f} bytes, not at most {LIMIT}")
    return [f"{page}: {what}" for what in wrong]


def main():
    origin, profile, pictures = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    browser = Browser(profile)
    try:
        wrong = [what for page in ("/docs", "/") for what in look_at(browser, origin, page, pictures)]
        browser.close()
    finally:
        browser.process.kill()
    if wrong:
        sys.exit("browser: " + "\nbrowser: ".join(wrong))


main()
