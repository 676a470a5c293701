// Carries the core's effects out over a Transport and posts what comes back, decoded, as inputs.
//
// The real operator runs it between a loop thread and cpprestsdk; a simulation between a virtual clock and an
// API server in memory. Owned by the loop; perform() is called on its thread. `post` and `now` are called on
// threads of the transport, also after the shell is gone, until the transport is.
#pragma once

#include "control/effects.h"
#include "kube/client.h"
#include "kube/informer_runner.h"

#include <functional>
#include <string>

namespace poolwarden::control {

class Shell {
 public:
  using Post = std::function<void(Input)>;
  using Clock = std::function<kube::TimePoint()>;

  // Asks an engine for its load; calls back once, from any thread, also after the shell is gone.
  using ReadLoad =
      std::function<void(engine::LoadRequest, std::function<void(tl::expected<engine::Load, std::string>)>)>;

  // `ns`: the one namespace to look after, or empty for all. The transport must outlive the shell.
  Shell(kube::Transport& transport, const std::string& ns, Clock now, Post post, ReadLoad read_load);

  // The calls are moved out of it: the body of a write may be large.
  void perform(Effects& effects);

 private:
  void perform(const WatchWork& work);
  void perform(Send& send);
  void perform(const LoadRead& read);

  kube::Client client_;
  Post post_;
  ReadLoad read_load_;
  kube::InformerRunner<api::PoolCodec> pools_;
  kube::InformerRunner<api::ConfigMapCodec> config_maps_;
  kube::InformerRunner<api::PodCodec> pods_;
  kube::InformerRunner<api::DeploymentCodec> deployments_;
  kube::InformerRunner<api::ReplicaSetCodec> replica_sets_;
  kube::InformerRunner<api::ServiceCodec> services_;
  kube::InformerRunner<api::NodeCodec> nodes_;
  kube::InformerRunner<api::AutoscalerCodec> autoscalers_;
  kube::InformerRunner<api::DisruptionBudgetCodec> budgets_;
  kube::InformerRunner<api::GatePolicyCodec> gate_policies_;
  kube::InformerRunner<api::GateBindingCodec> gate_bindings_;
};

}  // namespace poolwarden::control
