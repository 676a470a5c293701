// Carries probes out: HTTP, TCP, or a command. A few threads; each probe takes at most its timeout.
#pragma once

#include "support/cluster/probe.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace poolwarden::cluster {

struct ProbeTarget {
  ProbeSpec spec;
  std::string ip;  // of the pod
  std::vector<std::pair<std::string, std::string>> env;
};

bool run_probe(const ProbeTarget& target);  // blocks

class Prober {
 public:
  using Done = std::function<void(bool success)>;

  explicit Prober(std::size_t threads);
  ~Prober();  // drops what has not begun, waits for what has
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // `done` is called on one of the prober's threads.
  void submit(ProbeTarget target, Done done);

 private:
  void work();

  std::mutex mutex_;  // protects all below but threads_
  std::condition_variable wake_;
  std::deque<std::pair<ProbeTarget, Done>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace poolwarden::cluster
