// `status`: asks for the pools, and for the lists of those whose pods are shown.
#include "commands/cluster_reader.h"
#include "commands/context.h"
#include "commands/status_report.h"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

void read_list(Context& context, ClusterReader& reader, PoolView& pool) {
  const Lookup<api::EndpointSet> list = reader.list_of(pool);
  if (list.value) add_listed(pool, *list.value);
  if (!list.problem.empty())
    context.console.warn(
        fmt::format("the ready pods of {}/{} are not shown: {}", pool.ns, pool.name, list.problem));
}

int one(Context& context, const StatusOptions& options) {
  ClusterReader reader(context.session);
  auto pool = reader.pool(context.session.ns(), options.pool);
  if (!pool) return fail(context, pool.error());
  read_list(context, reader, *pool);
  const api::Timestamp time = context.session.now().wall;
  if (options.document) {
    context.console.write(status_json(*pool, time), *options.document);
  } else {
    context.console.write(
        status_text(*pool, time, context.console.paint(), context.console.window().columns));
  }
  return kDone;
}

}  // namespace

int run_status(Context& context, const StatusOptions& options) {
  if (!options.pool.empty()) return one(context, options);
  const std::string ns = options.all_namespaces ? "" : context.session.ns();
  ClusterReader reader(context.session);
  auto pools = reader.pools(ns);
  if (!pools) return fail(context, pools.error());
  const api::Timestamp time = context.session.now().wall;
  if (options.document) {
    for (PoolView& pool : *pools) read_list(context, reader, pool);
    context.console.write(status_list_json(*pools, time), *options.document);
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
