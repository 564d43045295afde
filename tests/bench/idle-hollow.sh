#!/usr/bin/env bash
# A cluster at rest: 50 deployments of 3 hollow pods, converged; bytes written and processor time in five minutes. idle-hollow.sh [seconds]
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
export E2E_SECONDS=${E2E_SECONDS:-900}
hermetic "$PWD/tests/bench/idle-hollow.sh" "$@"
set_up_host
python3 -u - "$skerry" "$work" "${1:-300}" <<'END'
import sys, time
sys.path.insert(0, "tests/bench")
from hollow import deployment, start, used, wait_quiet, wait_ready
skerry, work, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3])
process, api, _ = start(skerry, work, "--hollow-nodes", "2")
for i in range(50): api.call("POST", "/apis/apps/v1/namespaces/default/deployments", deployment(f"d{i}", 3))
if not wait_ready(api, time.monotonic() + 120): sys.exit("not all pods are ready")
if not wait_quiet(process.pid, 10, time.monotonic() + 180): sys.exit("it never came to rest")
cpu, _, written = used(process.pid)
time.sleep(seconds)
now, rss, bytes_now = used(process.pid)
print(f"{seconds} s at rest with 50 deployments of 3 pods: {bytes_now - written} bytes written (0), {100 * (now - cpu) / seconds:.3f} % of a core (<= 0.2); memory {rss} MB")
process.terminate()
process.wait(30)
END
