// A Transport whose network is a latency on a virtual clock and whose server is the API server model in
// memory, with the network's and the server's ways to fail.
//
// Everything above kube::Transport runs on it unchanged. Single-threaded: callbacks run from VirtualTime. The
// transport may go while answers are on their way: they are then never delivered, as for a killed process.
#pragma once

#include "kube/random.h"
#include "kube/transport.h"
#include "support/apiserver/faults.h"
#include "support/apiserver/model.h"
#include "support/sim/virtual_time.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace poolwarden::sim {

// What the network between one client and the server does, and what has gone over it.
struct SimNetwork {
  kube::Duration latency = std::chrono::milliseconds(1);  // one way, of which up to as much again is jitter
  bool down = false;                                      // connections are refused
  bool silent = false;                                    // connections stay, nothing arrives
  apiserver::FaultSet faults;

  struct Request {
    std::string verb;
    std::string resource;  // "pods", "pods/status"
    std::string name;
  };
  std::vector<Request> requests;  // in order of arrival at the server
};

class SimTransport final : public kube::Transport {
 public:
  SimTransport(VirtualTime& time, apiserver::Model& model, SimNetwork& network, kube::RandomSource random,
               std::string user);
  ~SimTransport() override;

  void send(kube::HttpRequest request, Callback done) override;
  std::unique_ptr<kube::StreamHandle> stream(kube::HttpRequest request,
                                             std::chrono::milliseconds idle_timeout,
                                             std::shared_ptr<kube::StreamHandler> handler) override;

  void changed();  // the model did: streams have something to read
  void cut();      // ends every stream in the middle

 private:
  struct Stream;
  struct Handle;
  using StreamPtr = std::shared_ptr<Stream>;

  // Calls `work` later, unless the transport has gone by then.
  void later(kube::Duration delay, std::function<void()> work);
  kube::Duration one_way();
  apiserver::FaultSubject note(const kube::HttpRequest& request, SimNetwork::Request& storage);
  void arrive(const kube::HttpRequest& request, const std::shared_ptr<Callback>& done);
  kube::HttpResponse handled(const kube::HttpRequest& request);
  void answer(const std::shared_ptr<Callback>& done,
              tl::expected<kube::HttpResponse, kube::TransportError> what, kube::Duration delay);
  void open(const StreamPtr& stream);
  bool open_faulty(const StreamPtr& stream, const apiserver::FaultRule& fault);
  void pump(const StreamPtr& stream);
  void schedule_pump(const StreamPtr& stream, kube::Duration delay);
  void deliver(const StreamPtr& stream, const std::string& bytes);
  void end(const StreamPtr& stream, std::optional<kube::TransportError> error);
  void watch_silence(const StreamPtr& stream);

  VirtualTime& time_;
  apiserver::Model& model_;
  SimNetwork& network_;
  kube::RandomSource random_;
  std::string user_;
  std::map<std::uint64_t, StreamPtr> streams_;
  std::uint64_t last_stream_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace poolwarden::sim
