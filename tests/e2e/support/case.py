"""The base of a case: a file in cases/ with a subclass of Case, ended by `main()`.

    class Adoption(Case):
        def test_restarts_nothing(self):
            self.step("Apply a Deployment of three")
            self.kube.apply(...)

    main()

Each test has a namespace of its own (self.kube is bound to it), taken away at its end; cleanups run last
added first, before that. self.step() says in the output what is being done, self.figure() what was measured.
Of a test that fails, objects, events and logs are kept before anything is cleaned up, and the path is
printed. A case must leave the cluster as it found it: other cases follow on it.
"""
import os
import re
import sys
import time
import unittest

from support import dump
from support.kube import POOLS, Kube, wait_for

ALL_SKIPPED = 77  # SKIP_RETURN_CODE in CMakeLists.txt
CASE = os.path.splitext(os.path.basename(sys.argv[0]))[0]


def seconds_since(start: float) -> str:
    return f"{time.monotonic() - start:6.1f}s"


class Case(unittest.TestCase):
    maxDiff = None
    _began = 0.0

    def setUp(self) -> None:
        self._began = time.monotonic()
        number = re.sub(r"\D.*", "", CASE)
        words = re.sub(r"[^a-z0-9]+", "-", self._testMethodName.removeprefix("test_").lower())
        self.namespace = f"e2e-{number}-{words}"[:50].rstrip("-")
        self.kube = Kube(self.namespace)
        self.namespaces = [self.namespace]
        print(f"\n{CASE}: {self._testMethodName.removeprefix('test_').replace('_', ' ')}", flush=True)
        self.make_namespace(self.namespace)

    def make_namespace(self, name: str, **labels: str) -> Kube:
        """Another one, which goes with the test. Restricted pod security, as the examples are written for. Ready for
        pods: those that a test makes itself are refused until the controller manager has made the account they run as."""
        kube = Kube()
        if kube.find("namespace", name):  # of an earlier run that was killed
            self.remove_namespace(name)
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted", "e2e": "true", **labels}}})
        if name not in self.namespaces:
            self.namespaces.append(name)
        self.addCleanup(self.remove_namespace, name)
        wait_for(lambda: Kube(name).find("serviceaccount", "default"), f"the service account of namespace {name}", 60)
        return Kube(name)

    @staticmethod
    def remove_namespace(name: str) -> None:
        """Pods first, without the time they would be given: of a namespace with pods, the controller looks
        again only after half of the longest grace period. Waited for, so that the next test has the machine
        to itself."""
        kube = Kube(name)
        for kinds in ("deployments,statefulsets,replicasets", POOLS, "pods"):
            force = ["--force", "--grace-period=0"] if kinds == "pods" else []
            kube.run("delete", kinds, "--all", "--wait=false", *force, check=False)
        kube.run("wait", "--for=delete", "pods", "--all", "--timeout=30s", check=False)
        Kube().delete("namespace", name)
        Kube().run("wait", "--for=delete", f"namespace/{name}", "--timeout=60s", timeout=70, check=False)

    def step(self, text: str) -> None:
        print(f"  {seconds_since(self._began)}  {text}", flush=True)

    def figure(self, what: str, value: float, unit: str) -> None:
        print(f"  {seconds_since(self._began)}  figure: {what}: {value:.1f} {unit}", flush=True)

    def note(self, text: str) -> None:
        """Output of a command, or what else a reader of the log wants to see."""
        for line in text.strip().splitlines():
            print(f"             {line}", flush=True)

    def keep_everything(self) -> None:
        folder = dump.dump(os.path.join(CASE, self._testMethodName), self.namespaces)
        print(f"  {seconds_since(self._began)}  FAILED; kept: {folder}", flush=True)


class Result(unittest.TextTestResult):
    """Keeps what there is at the moment of the failure; later it is gone."""

    def addFailure(self, test: unittest.TestCase, err: tuple) -> None:
        super().addFailure(test, err)
        if isinstance(test, Case):
            test.keep_everything()

    def addError(self, test: unittest.TestCase, err: tuple) -> None:
        super().addError(test, err)
        if isinstance(test, Case) and hasattr(test, "namespaces"):
            test.keep_everything()


    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        print(f"\n{CASE}: {test.id().rpartition('.')[2]} is skipped: {reason}", flush=True)


def main() -> None:
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=0)
    program = unittest.main(exit=False, testRunner=runner)
    result = program.result
    if result.skipped and len(result.skipped) >= result.testsRun:
        sys.exit(ALL_SKIPPED)
    sys.exit(not result.wasSuccessful())
