"""The kube layer by itself against the real API server: exec credentials, token rotation, paged lists, bookmarks,
the scale subresource, preconditions, history that is gone, the Lease, Events. The tests
are a program, tests/integration/kubernetes; here it gets a cluster, and a way to make that forget its history."""
import os
import subprocess
import sys

from support import cluster
from support.case import Case, main
from support.kube import ROOT

PROGRAM = os.path.join(ROOT, os.environ.get("E2E_BIN", "build/bin"), "kube_real_test")


def forget_history() -> None:
    """What the program runs when it wants all but the newest version gone: an API server that has just started
    remembers nothing, and etcd no more."""
    cluster.compact_etcd()
    cluster.component("stop", "apiserver")
    cluster.component("start", "apiserver")
    cluster.wait_api_server()


class KubeLayer(Case):
    def test_against_the_real_api_server(self) -> None:
        self.assertTrue(os.path.exists(PROGRAM), f"{PROGRAM} is missing: cmake --build build --target e2e_programs")
        environment = {**os.environ, "POOLWARDEN_TEST_KUBECONFIG": os.environ["KUBECONFIG"],
                       "SSL_CERT_FILE": "/dev/null"}
        if cluster.OWNED:
            environment["POOLWARDEN_TEST_FORGET_HISTORY"] = f"{sys.executable} {os.path.abspath(__file__)} forget"
        self.step(f"run {os.path.relpath(PROGRAM, ROOT)}")
        done = subprocess.run([PROGRAM, "--gtest_brief=1"], env=environment, capture_output=True, text=True,
                              timeout=600, check=False)
        self.note(done.stdout + done.stderr)
        self.assertEqual(done.returncode, 0)
        self.step("every test of it passed" if cluster.OWNED else "passed; those that need a lost history were skipped")


if __name__ == "__main__" and sys.argv[1:] == ["forget"]:
    forget_history()
else:
    main()
