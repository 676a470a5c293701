// EndpointSlices: Kubernetes' controller of them, and what clients of a Service make of all slices together.
#include "scenarios/scenario_run.h"

#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::scenarios {

void ScenarioRun::add_slice_verbs() {
  // From now on the controller follows Services and pods, so much later.
  verbs_["kubernetes-slices"] = {1, 1, [this](const Words& w) {
                                   if (kubernetes_slices_) throw std::runtime_error("it runs already");
                                   kubernetes_slices_.emplace(world_, duration(w[0]));
                                 }};
  expectations_["ready-in-slices"] = {
      1, 12, [this](const Words& w) {
        const std::set<std::string> wanted(w.begin() + 1, w.end());
        const std::set<std::string> found = sim::ready_pods_in_slices(world_.model(), w[0]);
        if (wanted != found)
          throw std::runtime_error(fmt::format("slices of {}: expected '{}', found '{}'", w[0],
                                               fmt::join(wanted, " "), fmt::join(found, " ")));
      }};
}

}  // namespace poolwarden::scenarios
