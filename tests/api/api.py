"""The API's side of test programs: calls as the administrator of a kubeconfig, and what is compared. The first argument is that kubeconfig."""
import base64, http.client, json, os, ssl, sys, tempfile, time, urllib.parse
import yaml

failures = 0
_config = yaml.safe_load(open(sys.argv[1]))
_server, _user = _config["clusters"][0]["cluster"]["server"], _config["users"][0]["user"]
trust = ssl._create_unverified_context()
with tempfile.TemporaryDirectory(prefix="skerry-client.") as directory:
    pair = []
    for name in ("client-certificate-data", "client-key-data"):
        pair.append(os.path.join(directory, name))
        with open(pair[-1], "wb") as file: file.write(base64.b64decode(_user[name]))
    trust.load_cert_chain(*pair)
host = urllib.parse.urlparse(_server).netloc


def ask(method, path, body=None, kind="application/json", headers=None):
    """Status, headers and bytes of the answer."""
    connection = http.client.HTTPSConnection(host, context=trust, timeout=60)
    connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind, **(headers or {})})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def equal(what, want, got):
    global failures
    if want != got:
        failures += 1
        print(f"FAILED: {what}\n  want {want!r}\n  got  {got!r}")


def becomes(what, want, look, seconds=30):
    end, got = time.monotonic() + seconds, look()
    while got != want and time.monotonic() < end:
        time.sleep(0.05)
        got = look()
    equal(what, want, got)


def finish(name):
    print(f"{name}:", "all as expected" if failures == 0 else f"{failures} failures")
    sys.exit(1 if failures else 0)
