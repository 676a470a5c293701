"""The steps of the public guide this project starts from ("llm-d Fault Tolerance on a kind Cluster"), with
kubectl as it is and HAProxy in the cluster: scale to three, watch who serves, delete one under load, see its
replacement, scale back. Once with the guide's numbered stream, once with 20 clients whose streamed answers
take 5 seconds: no request may fail."""
import re
import time

from support import gateway
from support.case import Case, main
from support.kube import name_of, wait_for
from support.load import Clients, Load, NumberedStream

PODS = "app=vllm"
FIVE_SECONDS = 99  # tokens: the first after 100 ms, one every 50 ms then (examples/vllm-sim)


class GuideSteps(Case):
    def kubectl(self, *words: str) -> None:
        self.note("$ kubectl " + " ".join(words))
        self.note(self.kube.run(*words).out)

    def scale(self, replicas: int) -> None:
        self.kubectl("scale", "pwp/vllm", f"--replicas={replicas}")
        self.kube.wait_endpoints(replicas)

    def serving_by_logs(self, since: str) -> set[str]:
        """Which pods served, by their own logs, as the guide looks for it."""
        lines = self.kube.run("logs", "--prefix", "-l", PODS, f"--since={since}", "--tail=-1").out.splitlines()
        return {re.sub(r"^\[pod/([^/]+)/.*", r"\1", line) for line in lines if "POST /v1" in line}

    def delete_one(self) -> None:
        victim = name_of(self.kube.ready_pods(PODS)[0])
        self.kubectl("delete", "pod", victim, "--wait=false")
        wait_for(lambda: victim not in self.kube.endpoints(), f"{victim} off the list", 30, every=0.05)
        self.step("its replacement joins")
        self.kube.wait_replaced(victim, 3)

    def go_through_the_steps(self, load: Load, spread: int, pause: float) -> None:
        """pause: so that requests are under way when the next step begins. spread: how many pods must have
        served."""
        self.step("1. scale to three")
        self.scale(3)
        self.kubectl("get", "pwp", "vllm")
        self.step("2. requests are running")
        time.sleep(pause)
        self.step("3. who serves, by the pods' logs")
        serving = wait_for(lambda: len(self.serving_by_logs("10m")) >= spread and self.serving_by_logs("10m"),
                           f"{spread} pods whose logs have a POST", 60)
        self.note("\n".join(sorted(serving)))
        self.step("4. delete one of them")
        self.delete_one()
        self.step("5. all three carry on")
        time.sleep(pause)
        self.kubectl("get", "pods", "-l", PODS)
        self.step("6. scale back to one")
        self.scale(1)
        self.kube.wait_ready(PODS, 1, 150)

    def finish(self, load: Load, fewest: int) -> None:
        self.step("the last requests end")
        load.stop()
        for pod, count in load.by_pod().items():
            self.note(f"{count:5} answers from {pod}")
        self.step(load.summary())
        self.assertEqual(len(load.errors), 0, "requests failed; they are listed above")
        self.assertGreaterEqual(len(load.answers), fewest, "too few requests to show anything")

    def test_numbered_stream(self) -> None:
        gateway.deploy(self.kube)
        with gateway.reach(self.kube) as address:
            stream = NumberedStream(address.url).start()
            try:
                # Requests of 0.3 s one at a time go to whichever replica is next: two of three are enough to
                # see.
                self.go_through_the_steps(stream, spread=2, pause=4)
            finally:
                stream.stop()
            self.finish(stream, fewest=10)

    def test_twenty_clients_with_five_second_streams(self) -> None:
        gateway.deploy(self.kube)
        with gateway.reach(self.kube) as address:
            clients = Clients(address.url, 20, tokens=FIVE_SECONDS, streamed=True).start()
            try:
                self.go_through_the_steps(clients, spread=3, pause=7)
            finally:
                clients.stop()
            self.finish(clients, fewest=100)


main()
