"""What the benches and tests with hollow nodes share: a client of the API, a server to start, figures of a process."""
import base64, http.client, json, os, re, ssl, subprocess, sys, tempfile, threading, time


class Api:
    def __init__(self, kubeconfig):
        text = open(kubeconfig).read()
        field = lambda name: re.search(name + r": *(\S+)", text).group(1).strip('"')
        self.address = re.search(r"https://([^\s\"]+)", text).group(1)
        self.context = ssl._create_unverified_context()
        files = []
        for name in ("client-certificate-data", "client-key-data"):
            f = tempfile.NamedTemporaryFile(delete=False)
            f.write(base64.b64decode(field(name)))
            f.close()
            files.append(f.name)
        self.context.load_cert_chain(*files)
        for f in files: os.unlink(f)
        self.local = threading.local()

    def call(self, method, path, body=None):
        for again in (False, True):
            connection = getattr(self.local, "connection", None)
            if not connection:
                connection = self.local.connection = http.client.HTTPSConnection(self.address, context=self.context, timeout=60)
            try:
                connection.request(method, path, body=json.dumps(body) if body else None, headers={"Content-Type": "application/json"})
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read() or b"null")
            except (OSError, http.client.HTTPException):
                connection.close()
                self.local.connection = None
                if again: raise

    def watch_lines(self, path):
        """One event a line, from when this returns."""
        connection = http.client.HTTPSConnection(self.address, context=self.context)
        connection.request("GET", path)
        return connection.getresponse()

    def watch(self, path):
        for line in self.watch_lines(path): yield json.loads(line)


def start(skerry, work, *flags):
    """The server over work/data, once its API answers: process, client, seconds it took."""
    log = open(work + "/log", "ab")
    began = time.monotonic()
    process = subprocess.Popen([skerry, "start", "--data-dir", work + "/data", "--run-dir", work + "/run", "--listen", "127.0.0.1:6443", "--runtime", "none", "--log-level", "warn", *flags],
                               stdout=log, stderr=log)
    while process.poll() is None:
        try:
            api = Api(work + "/data/kubeconfig")
            if api.call("GET", "/api/v1/namespaces/default")[0] == 200: return process, api, time.monotonic() - began
        except (OSError, AttributeError, ValueError):
            pass
        time.sleep(0.02)
    sys.exit("the server ended; see " + work + "/log")


def used(pid):
    """Seconds of processor time, resident megabytes, bytes written to disks."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    rss = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) // 1024
    written = int(re.search(r"^write_bytes: (\d+)", open(f"/proc/{pid}/io").read(), re.M).group(1))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), rss, written


def peak(pid):
    """The most megabytes that it ever had."""
    return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) // 1024


def at_rest(pid, began):
    """Seconds from `began` until the process used less than a tenth of a core for a second; its processor time until then."""
    cpu = used(pid)[0]
    while True:
        time.sleep(1)
        now = used(pid)[0]
        if now - cpu < 0.1: return time.monotonic() - began - 1, now
        cpu = now


def deployment(name, replicas):
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"automountServiceAccountToken": False, "containers": [
                         {"name": "c", "image": "registry.example/app:1", "resources": {"requests": {"cpu": "10m", "memory": "10Mi"}}}]}}}}


def ready(api):
    """Ready pods and wanted pods of all deployments."""
    items = api.call("GET", "/apis/apps/v1/deployments")[1]["items"]
    return sum(d.get("status", {}).get("readyReplicas", 0) for d in items), sum(d["spec"]["replicas"] for d in items)


def wait_ready(api, limit):
    while time.monotonic() < limit:
        have, want = ready(api)
        if have == want: return True
        time.sleep(0.3)   # a list of all deployments is no small thing to ask for
    return False


def wait_quiet(pid, seconds, limit):
    """Until the process has written nothing to disks for so long."""
    last, since = used(pid)[2], time.monotonic()
    while time.monotonic() < limit:
        time.sleep(0.2)
        if (now := used(pid)[2]) != last: last, since = now, time.monotonic()
        elif time.monotonic() - since >= seconds: return True
    return False
