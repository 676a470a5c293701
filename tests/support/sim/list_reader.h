// A reader of one pool's list in a simulation: the two watches of gateway-sync and its PublishedList, on a
// network of its own. What there is of HAProxy is left out.
//
// It is given the ConfigMaps as its watches tell them: those of the first shard and of the others come in no
// order of each other, and what was missed while a watch was broken comes by a new list.
#pragma once

#include "api/codecs.h"
#include "gateway/published_list.h"
#include "kube/informer_feed.h"
#include "support/apiserver/model.h"
#include "support/sim/sim_transport.h"
#include "support/sim/virtual_time.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace poolwarden::sim {

class ListReader {
 public:
  struct Options {
    std::string ns = "default";
    std::string pool;
    std::string config_map;
    std::uint64_t seed = 1;
  };

  ListReader(VirtualTime& time, apiserver::Model& model, Options options);
  ~ListReader();

  // Begins anew, as a process that knows nothing.
  void start();
  void cut();  // its watches
  void model_changed();
  SimNetwork& network() { return network_; }
  // Called after each turn, with what is known then.
  void set_listener(std::function<void()> turned) { turned_ = std::move(turned); }

  const Options& options() const { return options_; }
  std::uint64_t starts() const { return starts_; }
  // Nothing before it is whole.
  const std::optional<api::EndpointSet>& list() const;
  // Up to which version of the cluster the watch of that shard has told everything.
  std::uint64_t told(std::int32_t shard) const;

 private:
  struct Process;

  void turn(Process& process);

  VirtualTime& time_;
  apiserver::Model& model_;
  Options options_;
  SimNetwork network_;
  std::unique_ptr<Process> process_;
  std::uint64_t starts_ = 0;
  std::function<void()> turned_;
};

}  // namespace poolwarden::sim
