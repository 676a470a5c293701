// Two runtimes as one: containers of some images are hollow (no process), all others are real.
#pragma once

#include "support/cluster/runtime.h"

#include <set>
#include <string>

namespace poolwarden::cluster {

class RuntimeRouter : public PodRuntime {
 public:
  // Both must outlive the router.
  RuntimeRouter(PodRuntime& real, PodRuntime& hollow, std::set<std::string, std::less<>> hollow_images)
      : real_(real), hollow_(hollow), hollow_images_(std::move(hollow_images)) {}

  void start(const ContainerRef& ref, const LaunchSpec& spec, Timestamp now) override;
  void signal(const ContainerRef& ref, Signal signal, Timestamp now) override;
  void probe(const ContainerRef& ref, ProbeRole role, const ProbeSpec& spec, Timestamp now) override;
  void run_hook(const ContainerRef& ref, const std::vector<std::string>& command, Timestamp now) override;
  std::vector<RuntimeEvent> take_events(Timestamp now) override;
  std::optional<Timestamp> next_event() const override;

 private:
  PodRuntime& runtime_of(const ContainerRef& ref) { return hollow_runs_.contains(ref) ? hollow_ : real_; }

  PodRuntime& real_;
  PodRuntime& hollow_;
  std::set<std::string, std::less<>> hollow_images_;
  std::set<ContainerRef> hollow_runs_;
};

}  // namespace poolwarden::cluster
