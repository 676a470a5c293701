#include "bench/memory_operator.h"

#include "bench/hollow_pod.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace poolwarden::bench {
namespace {

using Clock = std::chrono::steady_clock;

api::Now read_clocks() {
  return {Clock::now(), std::chrono::system_clock::now()};
}

}  // namespace

MemoryOperator::MemoryOperator(control::CoreOptions options)
    : core_(std::move(options), metrics_),
      shell_(
          api_, "", &Clock::now, [this](control::Input input) { inputs_.push_back(std::move(input)); },
          [](const engine::LoadRequest&, auto) {}) {}

void MemoryOperator::put_nodes() {
  for (int number = 0; number < kNodes; ++number) {
    const nlohmann::json node = node_object(number);
    api_.put("/api/v1/nodes/" + node["metadata"]["name"].get<std::string>(), node);
  }
}

void MemoryOperator::put_pool(const std::string& ns, const std::string& name, const std::string& app) {
  api_.put("/apis/poolwarden.io/v1alpha1/namespaces/" + ns + "/inferencepools/" + name,
           {{"apiVersion", "poolwarden.io/v1alpha1"},
            {"kind", "InferencePool"},
            {"metadata",
             {{"name", name},
              {"namespace", ns},
              {"uid", "pool-" + ns + "-" + name},
              {"resourceVersion", "1"},
              {"generation", 1}}},
            {"spec",
             {{"selector", {{"matchLabels", {{"app", app}}}}},
              {"targetPorts", nlohmann::json::array({{{"number", 8000}}})}}}});
}

void MemoryOperator::start() {
  control::Effects effects = core_.start(read_clocks());
  shell_.perform(effects);
}

void MemoryOperator::step() {
  std::vector<control::Input> inputs = std::exchange(inputs_, {});
  control::Effects effects = core_.step(inputs, read_clocks());
  shell_.perform(effects);
}

}  // namespace poolwarden::bench
