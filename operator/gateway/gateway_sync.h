// Carries one pool's published list from the API server to one gateway: the loop around GatewayCore.
//
// It watches the list's first ConfigMap, by name, and once that counts others, those by their labels. It
// watches the pods of the pool's namespace that have the label of an endpoint: their own events take them out
// of the gateway without a list that says so (fallen_pods.h). What the gateway holds it says in a Lease
// (confirmation.h).
//
// Promises: the loop never waits for the API server, and for the gateway only as long as that promises. While
// the API server is away the gateway is still held to the last list. Without the right to watch pods, or to
// write the Lease, all else works. stop() leaves the gateway as it is, so requests go on while this restarts.
//
// Owned by main. run() is the loop. It uses everything here on its one thread and returns after stop(). Any
// thread may call stop(), loop_problem() and readiness_problem(). The transport must be destroyed, which ends
// its callbacks, after run() has returned; the queue they post to lives as long as they do.
#pragma once

#include "api/codecs.h"
#include "gateway/confirmation.h"
#include "gateway/fallen_pods.h"
#include "gateway/gateway.h"
#include "gateway/gateway_core.h"
#include "gateway/gateway_metrics.h"
#include "gateway/gateway_report.h"
#include "gateway/published_list.h"
#include "kube/bounded_queue.h"
#include "kube/client.h"
#include "kube/informer_feed.h"
#include "kube/time.h"
#include "telemetry/log.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace poolwarden::gateway {

struct GatewaySyncOptions {
  std::string ns;
  std::string pool;
  std::string config_map;
  ConsumerIdentity consumer;  // its name empty: no Lease is written
  std::string pod;            // that this runs in, where it does; the Lease goes with it
  CoreOptions core;
  kube::ReflectorOptions reflector;
};

class GatewaySync {
 public:
  // The references must outlive it.
  GatewaySync(GatewaySyncOptions options, Gateway& gateway, kube::Transport& transport, telemetry::Log& log,
              GatewayMetrics& metrics);

  void run();
  void stop() { queue_->close(); }

  // For /healthz: the loop turns at least once a second, or waits for the gateway.
  std::optional<std::string> loop_problem() const;
  // For /readyz: the gateway has been brought to a list, and answers.
  std::optional<std::string> readiness_problem() const;

 private:
  enum class Part : std::uint8_t { kFirst, kOthers };  // of the list
  struct OfList {
    Part part = Part::kFirst;
    kube::InformerInput<api::ConfigMap> what;
  };
  struct OfPods {
    kube::InformerInput<api::Pod> what;
  };
  struct PodAnswered {  // asked for by name
    std::string name;
    kube::Result<std::string> body;
  };
  struct LeaseAnswered {
    kube::Result<std::string> body;
  };
  struct OwnPodAnswered {
    kube::Result<std::string> body;
  };
  using Input = std::variant<OfList, OfPods, PodAnswered, LeaseAnswered, OwnPodAnswered>;
  using Queue = kube::BoundedQueue<Input>;
  using ListFeed = kube::InformerFeed<api::ConfigMapCodec>;
  using PodFeed = kube::InformerFeed<api::PodCodec>;
  enum class Readiness : std::uint8_t { kNoList, kNoGateway, kReady };

  ListFeed list_feed(Part part, kube::WatchScope scope);
  PodFeed pod_feed();
  void turn(kube::WaitResult woken);
  void take(OfList input, std::vector<CoreEffect>& effects);
  void take(OfPods input, std::vector<CoreEffect>& effects);
  void take(PodAnswered input, std::vector<CoreEffect>& effects);
  void take(LeaseAnswered input, std::vector<CoreEffect>& effects);
  void take(OwnPodAnswered input, std::vector<CoreEffect>& effects);
  void take_list(const kube::Delta<api::ConfigMap>& delta, std::vector<CoreEffect>& effects);
  void take_fallen(kube::TimePoint decoded_at, std::vector<CoreEffect>& effects);
  void follow_others();
  void tick();
  void ask_for_pods(kube::TimePoint now);
  void confirm(kube::TimePoint now);
  void note_watch(std::string_view resource, const std::vector<kube::ReflectorAction>& actions);
  void note_api_server(kube::TimePoint now);
  void carry_out(std::vector<CoreEffect> effects);
  CoreInput observe(std::uint64_t attempt);
  CoreInput apply(const effect::Apply& wanted);
  void note(const effect::Settled& settled);
  kube::TimePoint next_wake() const;

  const GatewaySyncOptions options_;
  Gateway& gateway_;
  GatewayMetrics& metrics_;
  GatewayReport report_;
  std::shared_ptr<Queue> queue_;  // shared with callbacks of the transport, which may come late
  kube::Client client_;
  PublishedList list_;
  ListFeed first_;
  std::optional<ListFeed> others_;
  PodFeed pods_;
  FallenPods fallen_;
  Confirmation confirmation_;
  GatewayCore core_;

  std::atomic<Readiness> readiness_{Readiness::kNoList};
  std::atomic<kube::TimePoint::rep> last_turn_{0};
};

}  // namespace poolwarden::gateway
