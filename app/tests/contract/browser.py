"""A headless Chromium that is driven over its debugging pipe, so that no driver is needed."""

import base64
import json
import os
import subprocess
import sys
import time

# Seconds until something that a page does by itself has to be there, on any machine.
TIMEOUT = 60
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
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            sys.exit(f"browser: {expression[:80]}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait_until(self, expression):
        """Waits until an expression is true in the page; whether it became so."""
        end = time.monotonic() + TIMEOUT
        while not (reached := self.evaluate(expression)) and time.monotonic() < end:
            time.sleep(0.05)
        return bool(reached)

    def press(self, key, code):
        """Presses a key and releases it, as a keyboard does."""
        text = {"Enter": "\r"}.get(key)
        typed = {"text": text} if text else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                      **(typed if kind == "keyDown" else {}))

    def type(self, text):
        """Types into what has the focus."""
        self.call("Input.insertText", text=text)

    def look(self, width=1100, height=1400, dark=False):
        """How wide the window is, in pixels, and which colours its user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path):
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait(timeout=20)
