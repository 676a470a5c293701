"""Who of the people may do what with pools: the roles that Kubernetes adds to its own, and the policy that lets nobody
scale a workload through a pool who may not scale it directly."""
import json

from support.case import Case, main
from support.kube import POOLS, wait_for

POLICY = "poolwarden-scale-rights"
POOLS_ONLY = {"apiGroups": ["poolwarden.io"], "resources": ["inferencepools", "inferencepools/scale"], "verbs": ["*"]}
VERSIONS = {"LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1", "Rollout": "argoproj.io/v1alpha1"}
SCALES_ONE = {"apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["one"], "verbs": ["patch"]}


def pool(name: str, target: str = "", kind: str = "Deployment", **more: object) -> dict:
    version = VERSIONS.get(kind, "apps/v1")
    which = {"scaleTargetRef": {"name": target, "kind": kind, "apiVersion": version}} if target else {}
    return {"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": "none"}}, "targetPorts": [{"number": 8000}], **which, **more}}


class Roles(Case):
    def setUp(self) -> None:
        super().setUp()
        self.kube.create([
            self.role("pools-only", POOLS_ONLY), self.role("scales-one", POOLS_ONLY, SCALES_ONE),
            self.binding("eve", "ClusterRole", "edit"), self.binding("vera", "ClusterRole", "view"),
            self.binding("pola", "Role", "pools-only"), self.binding("nora", "Role", "scales-one"),
            pool("there", "one")])
        # The controller of aggregated roles, and the authorizer, take a moment.
        wait_for(lambda: self.may("eve", "create") and self.may("nora", "create"), "the roles to count", 30)

    def role(self, name: str, *rules: dict) -> dict:
        return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
                "rules": list(rules)}

    def binding(self, who: str, kind: str, role: str) -> dict:
        group = "rbac.authorization.k8s.io"
        return {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": {"name": who},
                "roleRef": {"apiGroup": group, "kind": kind, "name": role},
                "subjects": [{"apiGroup": group, "kind": "User", "name": who}]}

    def may(self, who: str, verb: str, subresource: str = "") -> bool:
        return self.kube.run("auth", "can-i", verb, POOLS, f"--subresource={subresource}", f"--as={who}",
                             check=False).out.strip() == "yes"

    def refusal(self, who: str, *words: str, stdin: str | None = None) -> str:
        """What the API server says against it, "" if nothing. It is not carried out."""
        done = self.kube.run(*words, "--dry-run=server", f"--as={who}", stdin=stdin, check=False)
        return done.err if done.code else ""

    def makes(self, who: str, target: str = "", kind: str = "Deployment") -> str:
        return self.refusal(who, "create", "-f", "-", stdin=json.dumps(pool("new", target, kind)))

    def changes(self, who: str, patch: str) -> str:
        return self.refusal(who, "patch", POOLS, "there", "--type=merge", "-p", patch)

    def test_view_and_edit_know_pools(self) -> None:
        looks, writes = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection")
        for who, verbs in (("vera", looks), ("eve", (*looks, *writes))):
            granted = [verb for verb in (*looks, *writes) if self.may(who, verb)]
            self.assertEqual(list(verbs), granted, who)
        self.assertFalse(self.may("vera", "patch", "scale"))
        self.assertTrue(self.may("eve", "patch", "scale"))
        self.assertFalse(self.may("eve", "patch", "status"), "status is the operator's")

    def test_who_may_not_scale_the_target_may_not_give_it_to_a_pool(self) -> None:
        self.assertEqual("", self.makes("eve", "one"))
        said = self.makes("pola", "one")
        self.note(said)
        self.assertIn(POLICY, said)
        self.assertIn("the pool would scale the Deployment one, and pola may not", said)
        self.assertIn("patch on deployments/scale", said)
        self.assertEqual("", self.makes("pola"), "a pool that scales nothing")
        self.step("Rights for one Deployment are rights for that one")
        self.assertEqual("", self.makes("nora", "one"))
        self.assertIn(POLICY, self.makes("nora", "two"))
        said = self.makes("nora", "one", "StatefulSet")
        self.assertIn("the pool would scale the StatefulSet one, and nora may not", said)
        self.assertIn("patch on statefulsets/scale", said)
        self.assertEqual("", self.makes("eve", "one", "StatefulSet"))

    def test_kinds_of_other_groups_are_asked_about_as_such(self) -> None:
        """Neither kind has to be there: rights are granted by name."""
        for who, kind, resource in (("lena", "LeaderWorkerSet", "leaderworkersets"), ("rolf", "Rollout", "rollouts")):
            group = VERSIONS[kind].split("/", maxsplit=1)[0]
            said = self.makes("nora", "one", kind)
            self.note(said)
            self.assertIn(f"the pool would scale the {kind} one, and nora may not", said)
            self.assertIn(f"patch on {resource}/scale (or {resource}) of {group} in namespace", said)
            self.assertNotIn("ClusterRole edit", said, "it does not know that kind by itself")
            mine = {"apiGroups": [group], "resources": [f"{resource}/scale"], "verbs": ["patch"]}
            self.kube.create([self.role(who, POOLS_ONLY, mine), self.binding(who, "Role", who)])
            wait_for(lambda: not self.makes(who, "one", kind), f"the right to scale {resource} to count", 30)
            for other in {"Deployment", "StatefulSet", *VERSIONS} - {kind}:
                self.assertIn(POLICY, self.makes(who, "one", other), f"{who}, {other}")

    def test_what_of_a_pool_with_a_target_may_be_changed(self) -> None:
        for patch in ('{"spec":{"replicas":0}}', '{"spec":{"scaleTargetRef":{"name":"two"}}}',
                      '{"spec":{"drain":{"timeoutSeconds":0}}}'):
            self.assertIn(POLICY, self.changes("pola", patch), patch)
        self.assertIn(POLICY, self.changes("nora", '{"spec":{"scaleTargetRef":{"name":"two"}}}'))
        self.assertEqual("", self.changes("eve", '{"spec":{"replicas":0}}'))
        self.step("Labels and finalizers are written by many, and scale nothing")
        self.assertEqual("", self.changes("pola", '{"metadata":{"labels":{"team":"a"}}}'))

    def test_the_subresource_is_not_covered(self) -> None:
        """As documented: it names no target. So it is a right of its own, and whoever has it scales."""
        self.kube.patch(POOLS, "there", {"spec": {"replicas": 1}})
        self.assertEqual("", self.refusal("pola", "scale", POOLS, "there", "--replicas=2"))


main()
