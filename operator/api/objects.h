// Thin views of the other objects Poolwarden reads: only the fields a decision needs.
#pragma once

#include "api/endpoint_set.h"
#include "api/meta.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::api {

// What a pool may scale: what all kinds of it have.
struct Workload : Identity {
  std::int32_t replicas = 1;  // spec.replicas; the API server defaults it to 1
  LabelSelector selector;
  std::int32_t status_replicas = 0;
  std::int32_t updated_replicas = 0;
  std::int32_t ready_replicas = 0;
  bool paused = false;
  bool held_back = false;  // its updateStrategy keeps some pods, or all, from an update
  bool deleting = false;
  // Of a blue-green Rollout: the label kTemplateHashLabel of pods that may be sent requests. Empty: all may.
  std::string active_template;
  // Of a Rollout whose pods are to be restarted: those that were created before that are evicted by its
  // controller.
  std::optional<Timestamp> restart_at;
  bool has_template = true;  // false: the pods' template is in another object
  // What decides whether a deleted pod can finish: read from the pod template.
  bool has_readiness_probe = false;
  bool has_pre_stop = false;
  std::int64_t termination_grace_seconds = 30;
  std::int64_t pre_stop_sleep_seconds = 0;  // 0 when preStop is not a sleep

  bool operator==(const Workload&) const = default;
};

struct Deployment : Workload {
  bool operator==(const Deployment&) const = default;
};

// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
struct StatefulSet : Workload {
  std::int32_t first_ordinal = 0;  // spec.ordinals.start
  bool ordered = true;             // spec.podManagementPolicy is not Parallel
  bool rolls = true;               // spec.updateStrategy is not OnDelete
  std::int32_t partition = 0;      // ordinals below it are not updated
  std::string max_unavailable;     // of an update, as text: a number or a percentage; empty: not said
  std::int32_t min_ready_seconds = 0;
  std::int32_t available_replicas = 0;  // of status
  std::string update_revision;          // of status: the label kRevisionHashLabel of a pod that is up to date

  bool operator==(const StatefulSet&) const = default;
};

// https://lws.sigs.k8s.io/docs/concepts/. Its selector is that of its leaders.
struct LeaderWorkerSet : Workload {
  bool operator==(const LeaderWorkerSet&) const = default;
};

// https://argo-rollouts.readthedocs.io/en/stable/features/specification/
struct Rollout : Workload {
  bool operator==(const Rollout&) const = default;
};

struct ServicePort {
  std::string name;
  std::int32_t number = 0;
  std::string target;    // targetPort as text: a number or a container port's name
  std::string protocol;  // "TCP" when left out

  bool operator==(const ServicePort&) const = default;
};

struct Service : Identity {
  LabelMap labels;
  LabelMap selector;
  std::vector<OwnerReference> owners;
  std::vector<ServicePort> ports;
  bool deleting = false;

  bool operator==(const Service&) const = default;
};

struct SlicePort {
  std::string name;
  std::int32_t number = 0;
  std::string protocol;  // "TCP" when left out

  bool operator==(const SlicePort&) const = default;
};

// An endpoint of an EndpointSlice that stands for a pod.
struct SliceEndpoint {
  std::string address;
  std::string pod;
  std::string uid;
  std::string node;
  std::string zone;
  bool ready = false;  // where it is left out: true, as readers have it
  bool serving = false;
  bool terminating = false;
  bool has_more = false;  // what we never write: more addresses, a hostname, hints

  bool operator==(const SliceEndpoint&) const = default;
};

struct EndpointSlice : Identity {
  // The most that the API server takes.
  static constexpr std::size_t kMaxEndpoints = 1000;
  static constexpr std::size_t kMaxPorts = 100;

  std::string service;       // kServiceNameLabel
  std::string manager;       // kSliceManagerLabel
  std::string pool;          // kPoolLabel
  std::string address_type;  // "IPv4", "IPv6" or "FQDN"; cannot be changed
  bool skips_mirror = false;
  std::vector<OwnerReference> owners;
  std::vector<SlicePort> ports;
  // Of a slice that is not ours, those that are ready, and of each its UID alone.
  std::vector<SliceEndpoint> endpoints;
  bool deleting = false;

  bool operator==(const EndpointSlice&) const = default;
};

struct ConfigMap : Identity {
  LabelMap labels;
  std::vector<OwnerReference> owners;
  std::string revision;            // kRevisionAnnotation, as text
  std::string pods_version;        // kPodsVersionAnnotation, as text
  std::string endpoints_json;      // data["endpoints.json"], byte for byte
  std::string endpoints_text;      // data["endpoints.txt"]
  bool without_documents = false;  // both were dropped, as no pool has a list of that name
  // Others have put something into it (a label, an annotation, an owner, a finalizer, a key): replacing the
  // whole object would take that away.
  bool shared = false;
  bool deleting = false;

  bool operator==(const ConfigMap&) const = default;
};

struct Secret : Identity {
  // In base64, as on the wire. What is longer than any key of an engine is cut off at kMaxValue.
  static constexpr std::size_t kMaxValue = 16u << 10;
  LabelMap data;

  bool operator==(const Secret&) const = default;
};

struct Node : Identity {
  std::string zone;
  bool unschedulable = false;        // cordoned, or a condition says that it is being emptied
  Tristate ready = Tristate::kTrue;  // condition Ready; one that is not there counts as True
  std::vector<std::string> taints;   // their keys; taken in by classify()
  std::string withdraw_taint;        // the first of those that end a pod's service at once
  std::string drain_taint;           // the first of those that announce its end
  std::string deadline_taint;        // the first of those that say that it ends within moments

  bool operator==(const Node&) const = default;
};

struct ReplicaSet : Identity {
  std::int32_t replicas = 1;            // spec.replicas; the API server defaults it to 1
  std::string controller;               // UID of the Deployment it belongs to, or empty
  std::int64_t revision = 0;            // of the Deployment; the newest template has the highest
  std::optional<std::int32_t> desired;  // its Deployment's replicas when that last sized it
  std::int32_t status_replicas = 0;
  bool deleting = false;

  bool operator==(const ReplicaSet&) const = default;
};

// As spec.minAvailable, more pods than a cluster can have, so that a budget never allows an eviction. "None
// unavailable" does not say that: it is counted from what the pods' Deployments want. A Deployment has
// surplus pods while they drain, and as many other pods could then be evicted.
// https://kubernetes.io/docs/tasks/run-application/configure-pdb/#think-about-how-your-application-reacts-to-disruptions
inline constexpr std::int32_t kBlockAllEvictions = 1'000'000;
// As nothing is ever healthy enough for such a budget, pods that are not ready are held, too. Otherwise a
// server that misses its probe because it is saturated would be evicted with all that it answers.
// https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy
inline constexpr std::string_view kHoldUnhealthyPods = "IfHealthyBudget";

struct DisruptionBudget : Identity {
  LabelSelector selector;
  std::vector<OwnerReference> owners;
  std::optional<std::string> max_unavailable;  // as text: a number or a percentage
  std::optional<std::string> min_available;
  std::string unhealthy_pods;  // spec.unhealthyPodEvictionPolicy
  bool deleting = false;

  bool operator==(const DisruptionBudget&) const = default;
};

// A half of the gate that holds deletes until a pod is drained: the ValidatingAdmissionPolicy and its
// binding.
struct GatePart : Identity {
  std::string difference;  // in what way it does not do what it should, for a person; empty when it does
  bool deleting = false;

  bool operator==(const GatePart&) const = default;
};

// A Lease by which a consumer of a pool's list says which revisions of the list are in force there.
struct ConsumerLease : Identity {
  // Of one that names no number of seconds that can be.
  static constexpr std::int32_t kDefaultSeconds = 30;

  std::string pool;                        // kPoolLabel; empty: it confirms for none
  std::string kind;                        // kConsumerLabel: "haproxy"
  std::string holder;                      // spec.holderIdentity; empty: the consumer has let go of it
  std::int32_t seconds = kDefaultSeconds;  // spec.leaseDurationSeconds
  std::vector<std::int64_t> applied;       // revisions by shard, the first at 0; empty: none yet
  bool unreadable = false;                 // it says something in that place which is no list of revisions
  std::optional<Timestamp> applied_at;
  bool deleting = false;

  bool operator==(const ConsumerLease&) const = default;
};

// "11", or "11,10,4": revisions by shard. Nothing if it is anything else, or of more shards than a list has.
std::optional<std::vector<std::int64_t>> parse_revisions(std::string_view text);

// A HorizontalPodAutoscaler: only whom it scales. KEDA's ScaledObjects show as these too.
struct Autoscaler : Identity {
  std::string target_group;  // "apps"
  std::string target_kind;
  std::string target_name;

  bool operator==(const Autoscaler&) const = default;
};

}  // namespace poolwarden::api
