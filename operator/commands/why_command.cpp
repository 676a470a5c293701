// `why`: gathers the facts, and prints what they come to.
#include "commands/context.h"
#include "commands/export.h"
#include "commands/fact_finder.h"
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

void add_pools(FactFinder& finder, std::vector<SelectingPool> pools, WhyFacts& out) {
  if (!out.pod) {
    for (SelectingPool& each : pools) {
      PoolFacts facts{.pool = std::move(each.pool), .list = {}};
      facts.list = finder.list_of(facts.pool);
      if (names(facts, out.pod_name)) out.pools.push_back(std::move(facts));
    }
    return;
  }
  for (const SelectingPool* each : pools_of(*out.pod, pools))
    out.pools.push_back({.pool = each->pool, .list = finder.list_of(each->pool)});
  if (out.pools.empty()) out.no_pool = why_in_no_pool(*out.pod, pools);
}

}  // namespace

int run_why(Context& context, const std::string& pod, Format format) {
  const auto target = parse_target(pod);
  if (!target) return usage(context, target.error());
  if (target->kind == TargetKind::kNode)
    return usage(context, "why is about pods: name one, as NAME or pod/NAME");
  FactFinder finder(context.session);
  WhyFacts facts;
  facts.program = context.program;
  facts.ns = context.session.ns();
  facts.pod_name = target->name;
  auto found = finder.pod(facts.ns, target->name);
  if (found) {
    facts.pod = std::move(*found);
  } else if (!found.error().is_not_found()) {
    return fail(context, found.error());
  }
  auto pools = finder.selecting_pools(facts.ns);
  if (!pools) return fail(context, pools.error());
  add_pools(finder, std::move(*pools), facts);
  if (!facts.pod && facts.pools.empty()) return fail(context, found.error());
  facts.lease = finder.lease(facts.ns);
  if (facts.pod) {
    if (!facts.pod->node.empty()) facts.node = finder.node_fact(facts.pod->node);
    facts.replica_set = finder.replica_set_of(*facts.pod);
    facts.budgets = finder.budgets(facts.ns);
    facts.gate = finder.gate();
    facts.events = finder.events_of(*facts.pod);
  }
  if (context.session.interrupted()) return kInterrupted;
  const api::Timestamp time = now().wall;
  const WhyReport report = why(facts, time);
  if (format == Format::kText) {
    context.console.write(why_text(report, time, context.console.paint()));
  } else {
    context.console.write(format == Format::kYaml ? to_yaml(why_json(report))
                                                  : to_pretty_json(why_json(report)));
  }
  return facts.pod ? kDone : kNotAsAsked;
}

}  // namespace poolwarden::commands
