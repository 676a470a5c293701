// The operator's core and its shell on a MemoryApi, on the real clock: no sockets and no threads, so that
// what a benchmark measures is work, and not waiting.
#pragma once

#include "bench/memory_api.h"
#include "control/controller_metrics.h"
#include "control/operator_core.h"
#include "control/shell.h"

#include <chrono>
#include <string>
#include <vector>

namespace poolwarden::bench {

class MemoryOperator {
 public:
  explicit MemoryOperator(control::CoreOptions options = {});
  MemoryOperator(const MemoryOperator&) = delete;
  MemoryOperator& operator=(const MemoryOperator&) = delete;

  MemoryApi& api() { return api_; }
  // The nodes that hollow pods are on.
  void put_nodes();
  // Over the pods of that label "app".
  void put_pool(const std::string& ns, const std::string& name, const std::string& app);

  void start();
  // Takes all that has come in, and carries out what follows; answers to that come in at once.
  void step();
  bool has_input() const { return !inputs_.empty(); }

 private:
  std::vector<control::Input> inputs_;
  MemoryApi api_;
  control::ControllerMetrics metrics_;
  control::OperatorCore core_;
  control::Shell shell_;
};

}  // namespace poolwarden::bench
