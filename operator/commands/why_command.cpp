// `why`: gathers the facts, and prints what they come to.
#include "commands/cluster_reader.h"
#include "commands/context.h"
#include "commands/target.h"
#include "commands/why_report.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

// A pod that is gone is in no pool, but may still be named by one that has not followed.
bool names(const PoolFacts& facts, const std::string& pod) {
  if (facts.pool.endpoint(pod) != nullptr) return true;
  if (!facts.list.value) return false;
  for (const api::Endpoint& each : facts.list.value->endpoints) {
    if (each.pod == pod) return true;
  }
  return false;
}

void add_pools(ClusterReader& reader, std::vector<SelectingPool> pools, WhyFacts& out) {
  if (!out.pod) {
    for (SelectingPool& each : pools) {
      PoolFacts facts{.pool = std::move(each.pool), .list = {}};
      facts.list = reader.list_of(facts.pool);
      if (names(facts, out.pod_name)) out.pools.push_back(std::move(facts));
    }
    return;
  }
  for (const SelectingPool* each : pools_of(*out.pod, pools))
    out.pools.push_back({.pool = each->pool, .list = reader.list_of(each->pool)});
  if (out.pools.empty()) out.no_pool = why_in_no_pool(*out.pod, pools);
}

}  // namespace

int run_why(Context& context, const std::string& pod, std::optional<DocumentFormat> document) {
  const auto target = parse_target(pod);
  if (!target) return usage(context, target.error());
  if (target->kind == TargetKind::kNode)
    return usage(context, "why is about pods: name one, as NAME or pod/NAME");
  ClusterReader reader(context.session);
  WhyFacts facts;
  facts.program = context.program;
  facts.ns = context.session.ns();
  facts.pod_name = target->name;
  auto found = reader.pod(facts.ns, target->name);
  if (found) {
    facts.pod = std::move(*found);
  } else if (!found.error().is_not_found()) {
    return fail(context, found.error());
  }
  auto pools = reader.selecting_pools(facts.ns);
  if (!pools) return fail(context, pools.error());
  add_pools(reader, std::move(*pools), facts);
  if (!facts.pod && facts.pools.empty()) return fail(context, found.error());
  facts.lease = reader.lease(facts.ns);
  if (facts.pod) {
    if (!facts.pod->node.empty()) facts.node = reader.find_node(facts.pod->node);
    facts.set = reader.set_of(*facts.pod);
    facts.budgets = reader.budgets(facts.ns);
    facts.gate = reader.gate();
    facts.events = reader.events_of(*facts.pod);
  }
  if (context.session.interrupted()) return kInterrupted;
  const api::Timestamp time = context.session.now().wall;
  const WhyReport report = why(facts, time);
  if (document) {
    context.console.write(why_json(report), *document);
  } else {
    context.console.write(why_text(report, time, context.console.paint()));
  }
  return facts.pod ? kDone : kNotAsAsked;
}

}  // namespace poolwarden::commands
