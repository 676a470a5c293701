// The gateway feed's metrics beside the operator's: one Prometheus scrapes both.
#include "gateway/gateway_metrics.h"

#include "telemetry/metrics.h"

#include <map>
#include <string>

#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

namespace poolwarden::gateway {
namespace {

TEST(GatewayMetrics, FamiliesOfBothPrograms_HaveOneHelpText) {
  const GatewayMetrics ours;
  telemetry::Metrics theirs({.version = "v", .commit = "c", .compiler = "g"});
  theirs.declare_watch("configmaps", {"closed"});
  theirs.set_last_byte("configmaps", {});
  std::map<std::string, std::string> helps;
  for (const auto& family : theirs.collectable()->Collect()) helps.emplace(family.name, family.help);
  int shared = 0;
  for (const auto& family : ours.collectable()->Collect()) {
    const auto found = helps.find(family.name);
    if (found == helps.end()) continue;
    ++shared;
    EXPECT_EQ(family.help, found->second) << family.name;
  }
  EXPECT_GT(shared, 0) << "both watch";
}

}  // namespace
}  // namespace poolwarden::gateway
