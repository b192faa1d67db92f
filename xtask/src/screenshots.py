"""Takes full-page pictures through ChromeDriver, with the standard library alone.

screenshots.py LINK SERVER LOOK WIDTH SCHEME FOLDER PAGE...
"""

import base64
import json
import subprocess
import sys
import time
import urllib.request

link, server, look, width, scheme, folder, *pages = sys.argv[1:]
port = 9515 + sum(map(ord, look)) % 400
driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"}, method=method)
    return json.load(urllib.request.urlopen(request, timeout=60))["value"]


def wait_until_ready():
    for _ in range(100):
        try:
            if call("GET", "/status")["ready"]:
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("chromedriver did not start")


arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
try:
    wait_until_ready()
    session = call("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": arguments}}}})["sessionId"]
    base = f"/session/{session}"
    command = lambda name, parameters: call("POST", f"{base}/goog/cdp/execute", {"cmd": name, "params": parameters})
    command("Emulation.setDeviceMetricsOverride", {"width": int(width), "height": 900, "deviceScaleFactor": 1, "mobile": int(width) < 600})
    command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    call("POST", f"{base}/url", {"url": link})
    button = call("POST", f"{base}/element", {"using": "css selector", "value": "main button"})
    call("POST", f"{base}/element/{list(button.values())[0]}/click", {})
    for page in pages:
        call("POST", f"{base}/url", {"url": server + page})
        picture = command("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})["data"]
        wide = call("POST", f"{base}/execute/sync", {"script": "return document.documentElement.scrollWidth", "args": []})
        name = page.strip("/").replace("/", "-").replace("?", "-").replace("=", "-") or "overview"
        with open(f"{folder}/{name}-{look}.png", "wb") as file:
            file.write(base64.b64decode(picture))
        if wide > int(width):
            print(f"{page} is {wide} px wide on a screen of {width}")
finally:
    driver.terminate()
