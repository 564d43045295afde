"""load.py OUT URL [HOST]: asks URL on a fresh connection again and again until TERM; then writes {"requests": n, "failures": [...]} to OUT."""
import http.client
import json
import signal
import sys
import threading
import urllib.parse

out, url = sys.argv[1:3]
to = urllib.parse.urlsplit(url)
headers = {"Host": sys.argv[3]} if len(sys.argv) > 3 else {}
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
seen = {"requests": 0, "failures": []}
while not stop.wait(0.02):   # the pace of the load
    seen["requests"] += 1
    try:
        connection = http.client.HTTPConnection(to.hostname, to.port or 80, timeout=10)
        connection.request("GET", to.path or "/", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200 or not body.startswith(b"hello from "):
            seen["failures"].append(f"{answer.status} {body[:80]!r}")
    except (OSError, http.client.HTTPException) as error:
        seen["failures"].append(repr(error))
    if seen["requests"] == 1:
        open(out + ".begun", "w").close()
with open(out, "w") as file:
    json.dump(seen, file)
