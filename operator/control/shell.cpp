#include "control/shell.h"

#include "api/names.h"
#include "kube/watch_decoder.h"
#include "publish/calls.h"

#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

template <class Codec>
kube::Result<Answer> decode(const kube::Body& body) {
  auto object = kube::decode_object<Codec>(body.text, body.encoding);
  if (!object) return tl::unexpected(std::move(object.error()));
  return Answer(std::move(*object));
}

kube::Result<Answer> decode(Expect expect, kube::Body body) {
  switch (expect) {
    case Expect::kPod:
      return decode<api::PodCodec>(body);
    case Expect::kConfigMap:
      return decode<api::ConfigMapCodec>(body);
    case Expect::kService:
      return decode<api::ServiceCodec>(body);
    case Expect::kPool:
      return decode<api::PoolCodec>(body);
    case Expect::kBudget:
      return decode<api::DisruptionBudgetCodec>(body);
    case Expect::kText:
      break;
  }
  return Answer(std::move(body.text));
}

// A text goes to those who read JSON, and a pool has nothing else.
kube::Encoding preferred(Expect expect) {
  return expect == Expect::kText || expect == Expect::kPool ? kube::Encoding::kJson
                                                            : kube::Encoding::kProtobuf;
}

kube::WatchScope gate_scope() {
  return {"", "", fmt::format("metadata.name={}", api::kGateName)};
}

}  // namespace

Shell::Shell(kube::Transport& transport, const std::string& ns, Clock now, Post post, ReadLoad read_load)
    : client_(transport),
      post_(std::move(post)),
      read_load_(std::move(read_load)),
      pools_(client_, publish::kInferencePools, {ns, "", ""}, now, post_),
      config_maps_(client_, kube::kConfigMaps,
                   {ns, fmt::format("{}={}", api::kManagedByLabel, api::kManagedByValue), ""}, now, post_),
      pods_(client_, kube::kPods, {ns, "", ""}, now, post_),
      deployments_(client_, kube::kDeployments, {ns, "", ""}, now, post_),
      replica_sets_(client_, kube::kReplicaSets, {ns, "", ""}, now, post_),
      services_(client_, kube::kServices, {ns, "", ""}, now, post_),
      nodes_(client_, kube::kNodes, {}, now, post_),
      autoscalers_(client_, kube::kHorizontalPodAutoscalers, {ns, "", ""}, now, post_),
      budgets_(client_, kube::kPodDisruptionBudgets, {ns, "", ""}, now, post_),
      gate_policies_(client_, kube::kValidatingAdmissionPolicies, gate_scope(), now,
                     [post = post_](auto input) { post(GatePolicyInput{std::move(input)}); }),
      gate_bindings_(client_, kube::kValidatingAdmissionPolicyBindings, gate_scope(), now,
                     [post = post_](auto input) { post(GateBindingInput{std::move(input)}); }) {}

void Shell::perform(const Effects& effects) {
  for (const Send& send : effects.sends) perform(send);
  for (const WatchWork& work : effects.watches) perform(work);
  for (const LoadRead& read : effects.load_reads) perform(read);
}

void Shell::perform(const LoadRead& read) {
  read_load_(read.request, [post = post_, uid = read.pod_uid,
                            pool = read.pool](tl::expected<engine::Load, std::string> load) {
    LoadArrived arrived{uid, pool, std::nullopt, {}};
    if (load) {
      arrived.load = pool::Load{load->in_flight, load->cache_usage};
    } else {
      arrived.problem = std::move(load.error());
    }
    post(std::move(arrived));
  });
}

void Shell::perform(const Send& send) {
  client_.send(send.call, preferred(send.expect),
               [post = post_, id = send.id, expect = send.expect](kube::Result<kube::Body> body) {
                 CallAnswered answered{id, Answer()};
                 if (body) {
                   answered.answer = decode(expect, std::move(*body));
                 } else {
                   answered.answer = tl::unexpected(std::move(body.error()));
                 }
                 post(std::move(answered));
               });
}

void Shell::perform(const WatchWork& work) {
  switch (work.feed) {
    case Feed::kPools:
      return pools_.run({work.action});
    case Feed::kConfigMaps:
      return config_maps_.run({work.action});
    case Feed::kPods:
      return pods_.run({work.action});
    case Feed::kDeployments:
      return deployments_.run({work.action});
    case Feed::kServices:
      return services_.run({work.action});
    case Feed::kNodes:
      return nodes_.run({work.action});
    case Feed::kReplicaSets:
      return replica_sets_.run({work.action});
    case Feed::kAutoscalers:
      return autoscalers_.run({work.action});
    case Feed::kBudgets:
      return budgets_.run({work.action});
    case Feed::kGatePolicies:
      return gate_policies_.run({work.action});
    case Feed::kGateBindings:
      return gate_bindings_.run({work.action});
  }
}

}  // namespace poolwarden::control
