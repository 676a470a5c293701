// Carries one pool's published list from the API server to one HAProxy: the loop around GatewayCore.
//
// It watches the list's first ConfigMap, by name, and once that counts others, those by their labels.
//
// Promises: the loop never waits for the API server, and for HAProxy at most HaproxySocket's deadline. While
// the API server is away HAProxy is still held to the last list. stop() leaves HAProxy as it is, so requests
// go on while this restarts.
//
// Owned by main. run() is the loop. It uses everything here on its one thread and returns after stop(). Any
// thread may call stop(), loop_problem() and readiness_problem(). The transport must be destroyed, which ends
// its callbacks, after run() has returned; the queue they post to lives as long as they do.
#pragma once

#include "api/codecs.h"
#include "gateway/gateway_core.h"
#include "gateway/gateway_metrics.h"
#include "gateway/haproxy_socket.h"
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
#include <vector>

namespace poolwarden::gateway {

struct GatewaySyncOptions {
  std::string ns;
  std::string pool;
  std::string config_map;
  RuntimeAddress haproxy;
  CoreOptions core;
  kube::ReflectorOptions reflector;
};

class GatewaySync {
 public:
  // The references must outlive it.
  GatewaySync(GatewaySyncOptions options, kube::Transport& transport, telemetry::Log& log,
              GatewayMetrics& metrics);

  void run();
  void stop() { queue_->close(); }

  // For /healthz: the loop turns at least once a second, or waits for HAProxy.
  std::optional<std::string> loop_problem() const;
  // For /readyz: HAProxy has been brought to a list, and answers.
  std::optional<std::string> readiness_problem() const;

 private:
  enum class Part : std::uint8_t { kFirst, kOthers };  // of the list
  struct Input {
    Part part = Part::kFirst;
    kube::InformerInput<api::ConfigMap> what;
  };
  using Delta = kube::Delta<api::ConfigMap>;
  using Queue = kube::BoundedQueue<Input>;
  // A watch, and what it has told.
  struct Feed : kube::InformerFeed<api::ConfigMapCodec> {
    Feed(GatewaySync& owner, Part part, kube::WatchScope scope);
  };
  enum class Readiness : std::uint8_t { kNoList, kNoHaproxy, kReady };

  void turn(kube::WaitResult woken);
  void take_list(const Delta& delta, std::vector<CoreEffect>& effects);
  void follow_others();
  void note_watch(const std::vector<kube::ReflectorAction>& actions);
  void note_api_server(kube::TimePoint now);
  void note_missing();
  void carry_out(std::vector<CoreEffect> effects);
  CoreInput observe(std::uint64_t attempt);
  CoreInput apply(const effect::Apply& wanted);
  kube::TimePoint next_wake() const;

  void report(const effect::Acknowledged& done);
  void report(const effect::Settled& settled);
  void report(const effect::HaproxyFound& found);
  void report(const effect::HaproxyFailed& failed);
  void report(const effect::ListProblems& list);

  const GatewaySyncOptions options_;
  telemetry::Log& log_;
  GatewayMetrics& metrics_;
  std::shared_ptr<Queue> queue_;  // shared with callbacks of the transport, which may come late
  kube::Client client_;
  PublishedList list_;
  Feed first_;
  std::optional<Feed> others_;
  GatewayCore core_;
  HaproxySocket haproxy_;
  // What was last said, so that nothing is said each half second.
  std::string last_haproxy_problem_;
  std::string last_api_problem_;
  std::size_t last_unplaced_ = 0;
  bool logged_absence_ = false;
  std::vector<std::string> logged_missing_;

  std::atomic<Readiness> readiness_{Readiness::kNoList};
  std::atomic<kube::TimePoint::rep> last_turn_{0};
};

}  // namespace poolwarden::gateway
