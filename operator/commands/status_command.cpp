// `status`: asks for the pools, and for one pool also for its list, which knows the nodes.
#include "commands/cluster_reader.h"
#include "commands/context.h"
#include "commands/export.h"
#include "commands/status_report.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

void print(Context& context, Format format, const nlohmann::json& document) {
  context.console.write(format == Format::kYaml ? to_yaml(document) : to_pretty_json(document));
}

void add_nodes(PoolView& pool, const Lookup<api::EndpointSet>& list) {
  if (!list.value) return;
  for (EndpointView& endpoint : pool.endpoints) {
    const auto& entries = list.value->endpoints;
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [&](const api::Endpoint& entry) { return entry.pod == endpoint.pod; });
    if (found != entries.end()) endpoint.node = printable(found->node);
  }
}

int one(Context& context, const StatusOptions& options) {
  ClusterReader reader(context.session);
  auto pool = reader.pool(context.session.ns(), options.pool);
  if (!pool) return fail(context, pool.error());
  add_nodes(*pool, reader.list_of(*pool));
  const api::Timestamp time = now().wall;
  if (options.format == Format::kText) {
    context.console.write(
        status_text(*pool, time, context.console.paint(), context.console.window().columns));
  } else {
    print(context, options.format, status_json(*pool, time));
  }
  return kDone;
}

}  // namespace

int run_status(Context& context, const StatusOptions& options) {
  if (!options.pool.empty()) return one(context, options);
  const std::string ns = options.all_namespaces ? "" : context.session.ns();
  auto pools = ClusterReader(context.session).pools(ns);
  if (!pools) return fail(context, pools.error());
  const api::Timestamp time = now().wall;
  if (options.format != Format::kText) {
    print(context, options.format, status_list_json(*pools, time));
  } else if (pools->empty()) {
    context.console.warn(options.all_namespaces ? "no inferencepools.poolwarden.io in any namespace"
                                                : "no inferencepools.poolwarden.io in namespace " + ns);
  } else {
    context.console.write(status_table(*pools, options.all_namespaces ? Namespaces::kAll : Namespaces::kOne,
                                       time, context.console.paint(), context.console.window().columns));
  }
  return kDone;
}

}  // namespace poolwarden::commands
