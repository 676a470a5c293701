// A stand-in for the kubelets of all nodes: runs the pods that are bound to one, and reports their status.
//
// The shell around PodMachine. step() works on the model only (reads pods, writes status, finishes deletions)
// and remembers what is to be done; carry_out() then does it with the runtime and needs no model, so it is
// called without the server's lock. One thread calls both. Deterministic, given the runtime.
// Pods get addresses of their own in 127.0.0.0/8: 127.0.<node>.1, 127.0.<node>.2, ... and are not given one
// again before the range is used up.
#pragma once

#include "support/cluster/pod_machine.h"
#include "support/cluster/runtime.h"
#include "support/cluster/writer.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace poolwarden::cluster {

class AddressPool {
 public:
  std::string allocate(const std::string& node);
  void release(const std::string& address) { used_.erase(address); }

 private:
  struct Range {
    int node = 0;
    std::uint32_t next = 0;
  };
  std::map<std::string, Range, std::less<>> ranges_;
  std::set<std::string, std::less<>> used_;
};

class Kubelet {
 public:
  // The runtime must outlive the kubelet.
  explicit Kubelet(PodRuntime& runtime, PodTiming timing = {}) : runtime_(runtime), timing_(timing) {}

  void step(Model& model, Timestamp now);
  void carry_out(Timestamp now);

  // When to call again although nothing changed; nothing: when something does.
  std::optional<Timestamp> next_deadline() const;
  // Pods with a process still running, those being stopped included.
  std::size_t pods() const { return entries_.size(); }

  // A node that is down: its pods go on running, and nobody hears of them.
  void set_node_down(const std::string& node, bool down);

 private:
  struct Entry {
    PodMachine machine;
    ObjectPtr pod;
    std::string node;
    bool dirty = true;
  };
  struct Work {
    PodEffect effect;
    std::optional<LaunchSpec> launch;  // of a StartContainer
    std::string refusal;               // why there is none
  };

  void observe(Model& model, Timestamp now);
  void take_events(Timestamp now);
  void tick(Timestamp now);
  void report(Model& model, Timestamp now);
  void add(const ObjectPtr& pod, Timestamp now);
  void queue(const Entry& entry, PodEffects effects);
  bool write_status(Model& model, Entry& entry, Timestamp now);

  PodRuntime& runtime_;
  PodTiming timing_;
  AddressPool addresses_;
  std::map<std::string, Entry, std::less<>> entries_;  // by uid
  std::set<std::string, std::less<>> down_;
  std::vector<Work> work_;
  std::vector<RuntimeEvent> refused_;  // starts that could not even be tried
};

}  // namespace poolwarden::cluster
