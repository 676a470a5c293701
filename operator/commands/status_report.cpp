#include "commands/status_report.h"

#include "api/names.h"
#include "commands/durations.h"
#include "commands/text_table.h"

#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

using nlohmann::json;

// What each condition says while all is well. Progressing is news, and never wrong.
constexpr std::array kAsItShouldBe{
    std::pair{api::condition::kAvailable, std::string_view{"True"}},
    std::pair{api::condition::kDegraded, std::string_view{"False"}},
    std::pair{api::condition::kScaleTargetFound, std::string_view{"True"}},
    std::pair{api::condition::kEndpointsPublished, std::string_view{"True"}},
    std::pair{api::condition::kDisruptionSafe, std::string_view{"True"}},
};

std::string target_of(const PoolView& pool) {
  if (!pool.target) return "-";
  // The usual kind goes without saying, as in kubectl's own column.
  return pool.target->kind == "Deployment" ? pool.target->name
                                           : fmt::format("{}/{}", pool.target->kind, pool.target->name);
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

Style style_of(const Problem& problem) {
  return problem.type == api::condition::kDisruptionSafe ? Style::kWarning : Style::kBad;
}

Cell problem_cell(const PoolView& pool) {
  const auto found = problems(pool);
  if (found.empty()) return "";
  const Problem& first = found.front();
  std::string text =
      first.type.empty() ? first.reason : fmt::format("{}={} {}", first.type, first.status, first.reason);
  if (found.size() > 1) text += fmt::format(" (+{})", found.size() - 1);
  return {std::move(text), style_of(first)};
}

// It is sent nothing new, and may still answer what it has.
bool answers_on(std::string_view state) {
  return state == api::serving::kDraining || state == api::serving::kFinishing;
}

std::string detail_of(const EndpointView& endpoint, api::Timestamp now) {
  std::string out;
  if (has_sentence(endpoint.state)) out = state_sentence(endpoint, now);
  if (!endpoint.message.empty()) out += (out.empty() ? "" : "; ") + endpoint.message;
  return out;
}

json time_json(const std::optional<api::Timestamp>& time) {
  return time ? json(api::to_rfc3339(*time)) : json(nullptr);
}

json endpoint_json(const EndpointView& endpoint, api::Timestamp now) {
  return {{"pod", endpoint.pod},
          {"ip", endpoint.ip},
          {"node", endpoint.node.empty() ? json(nullptr) : json(endpoint.node)},
          {"state", endpoint.state},
          {"reason", endpoint.reason},
          {"since", time_json(endpoint.since)},
          {"inFlight", endpoint.in_flight ? json(*endpoint.in_flight) : json(nullptr)},
          {"deadline", time_json(endpoint.deadline)},
          {"message", endpoint.message},
          {"text", state_sentence(endpoint, now)}};
}

json consumer_json(const api::ConsumerStatus& consumer) {
  return {{"name", consumer.name},         {"kind", consumer.kind},
          {"revision", consumer.revision}, {"behind", consumer.behind},
          {"live", consumer.live},         {"appliedAt", time_json(consumer.applied_at)}};
}

// Who confirms the list, and how far the slowest is behind. Those that are live come first.
std::string consumers_line(const PoolView& pool) {
  const api::ConsumerStatus& slowest = pool.consumers.front();
  std::string out = plural(pool.consumer_count, "consumer") + " of the list";
  const std::string who = fmt::format("{} ({})", slowest.name, slowest.kind);
  if (!slowest.live)
    return fmt::format("{}; none of them is heard of: {} holds revision {}", out, who, slowest.revision);
  if (slowest.behind == 0) return out + "; those that are heard of hold it as it is";
  return fmt::format("{}; the slowest is {}, {} behind: it holds revision {}", out, who,
                     plural(slowest.behind, "revision"), slowest.revision);
}

// After the pool's name.
std::string headline(const PoolView& pool) {
  std::string out = pool.deleting ? " (being deleted): " : ": ";
  out += pool.wanted ? plural(*pool.wanted, "replica") + " wanted" : std::string("follows its target");
  if (pool.target) out += fmt::format(" of {} {}", pool.target->kind, pool.target->name);
  return out + fmt::format("; {}, {} ready, {} serving, {} draining", plural(pool.replicas, "pod"),
                           pool.ready, pool.serving, pool.draining);
}

// Somebody wants no replicas.
bool is_meant(const api::Condition& condition) {
  return condition.type == api::condition::kAvailable && condition.reason == "ScaledToZero";
}

}  // namespace

std::vector<Problem> problems(const PoolView& pool) {
  std::vector<Problem> out;
  if (pool.conditions.empty()) {
    out.push_back({"", "", "NotReported",
                   "no operator has reported on this pool yet: does one run, and does it look after this "
                   "namespace? See kubectl -n poolwarden-system get pods"});
    return out;
  }
  for (const auto& [type, wanted] : kAsItShouldBe) {
    const api::Condition* found = pool.condition(type);
    if (found == nullptr || found->status == wanted || is_meant(*found)) continue;
    out.push_back({found->type, found->status, found->reason, found->message});
  }
  if (pool.observed_generation < pool.generation)
    out.push_back({"", "", std::string{kNotObserved},
                   fmt::format("the status is about generation {} of the pool, which is at {}: the operator "
                               "has not taken it in yet",
                               pool.observed_generation, pool.generation)});
  return out;
}

bool has_sentence(std::string_view state) {
  return answers_on(state) || state == api::serving::kDrained;
}

std::string state_sentence(const EndpointView& endpoint, api::Timestamp now) {
  std::string out = endpoint.state.empty() ? "in a state that is not told" : endpoint.state;
  if (endpoint.since) out += fmt::format(" for {}", in_words(since(*endpoint.since, now)));
  if (endpoint.state == "drained" && endpoint.in_flight.value_or(0) > 0)
    return out + fmt::format(", with {} still in flight when its time was up", *endpoint.in_flight);
  if (!answers_on(endpoint.state)) return out;
  out += endpoint.in_flight ? fmt::format(", {} in flight", *endpoint.in_flight)
                            : std::string(", in flight not known");
  if (!endpoint.deadline) return out;
  if (*endpoint.deadline <= now) return out + ", its time is up";
  return out + fmt::format(", at most {} more", in_words(since(now, *endpoint.deadline)));
}

Style style_of_state(std::string_view state) {
  if (state == "ready") return Style::kGood;
  if (answers_on(state)) return Style::kWarning;
  if (state == "drained") return Style::kFaint;
  return Style::kBad;
}

TerminalText status_table(const std::vector<PoolView>& pools, Namespaces namespaces, api::Timestamp now,
                          Paint paint, std::size_t width) {
  std::vector<std::string> headings = {"POOL",     "REPLICAS", "READY", "SERVING",
                                       "DRAINING", "TARGET",   "AGE",   "PROBLEM"};
  const bool all = namespaces == Namespaces::kAll;
  if (all) headings.insert(headings.begin(), "NAMESPACE");
  TextTable table(std::move(headings));
  for (const PoolView& pool : pools) {
    std::vector<Cell> row;
    if (all) row.emplace_back(pool.ns);
    row.emplace_back(pool.name);
    row.emplace_back(pool.wanted ? std::to_string(*pool.wanted) : "-");
    row.emplace_back(std::to_string(pool.ready));
    row.emplace_back(std::to_string(pool.serving), pool.serving > 0 ? Style::kGood : Style::kBad);
    row.emplace_back(std::to_string(pool.draining), pool.draining > 0 ? Style::kWarning : Style::kPlain);
    row.emplace_back(target_of(pool));
    row.emplace_back(age(pool.created, now));
    row.push_back(problem_cell(pool));
    table.add(std::move(row));
  }
  return table.render(paint, width);
}

TerminalText endpoint_table(const std::vector<PoolView>& pools, Namespaces namespaces, api::Timestamp now,
                            Paint paint, std::size_t width) {
  const bool with_pool = pools.size() != 1 || namespaces == Namespaces::kAll;
  bool with_node = false;
  for (const PoolView& pool : pools) {
    for (const EndpointView& endpoint : pool.endpoints) with_node = with_node || !endpoint.node.empty();
  }
  std::vector<std::string> headings = {"POD", "IP"};
  if (with_pool) headings.insert(headings.begin(), "POOL");
  if (with_node) headings.emplace_back("NODE");
  headings.insert(headings.end(), {"STATE", "SINCE", "REASON", "DETAIL"});
  TextTable table(std::move(headings));
  for (const PoolView& pool : pools) {
    for (const EndpointView& endpoint : pool.endpoints) {
      std::vector<Cell> row;
      if (with_pool)
        row.emplace_back(namespaces == Namespaces::kAll ? fmt::format("{}/{}", pool.ns, pool.name)
                                                        : pool.name);
      row.emplace_back(endpoint.pod);
      row.emplace_back(or_dash(endpoint.ip));
      if (with_node) row.emplace_back(or_dash(endpoint.node));
      row.emplace_back(or_dash(endpoint.state), style_of_state(endpoint.state));
      row.emplace_back(age(endpoint.since, now));
      row.emplace_back(or_dash(endpoint.reason));
      row.emplace_back(detail_of(endpoint, now));
      table.add(std::move(row));
    }
  }
  return table.render(paint, width);
}

TerminalText status_text(const PoolView& pool, api::Timestamp now, Paint paint, std::size_t width) {
  TerminalText out(paint);
  out.add(fmt::format("{}/{}", pool.ns, pool.name), Style::kHeading).line(headline(pool));
  out.line(fmt::format("list: ConfigMap {}, revision {}", pool.config_map, pool.revision));
  if (!pool.consumers.empty()) out.line(consumers_line(pool));
  const api::Condition* progress = pool.condition(api::condition::kProgressing);
  if (progress != nullptr && progress->status == "True")
    out.line(fmt::format("under way: {}: {}", progress->reason, progress->message));
  for (const Problem& problem : problems(pool)) {
    const std::string what = problem.type.empty()
                                 ? problem.reason
                                 : fmt::format("{} is {} ({})", problem.type, problem.status, problem.reason);
    out.add(what, style_of(problem)).line(": " + problem.message);
  }
  out.end_line();
  if (pool.endpoints.empty()) {
    out.line("No pods.");
  } else {
    out.append(endpoint_table({pool}, Namespaces::kOne, now, paint, width));
  }
  if (pool.omitted > 0)
    out.line(fmt::format("and {} not ready, for which status has no room", plural(pool.omitted, "pod")));
  return out;
}

json status_json(const PoolView& pool, api::Timestamp now) {
  json found = json::array();
  for (const Problem& each : problems(pool)) {
    found.push_back(
        {{"type", each.type}, {"status", each.status}, {"reason", each.reason}, {"message", each.message}});
  }
  json endpoints = json::array();
  for (const EndpointView& each : pool.endpoints) endpoints.push_back(endpoint_json(each, now));
  json consumers = json::array();
  for (const api::ConsumerStatus& each : pool.consumers) consumers.push_back(consumer_json(each));
  json target = nullptr;
  if (pool.target) target = {{"kind", pool.target->kind}, {"name", pool.target->name}};
  return {{"apiVersion", kReportVersion},
          {"kind", "PoolStatus"},
          {"namespace", pool.ns},
          {"name", pool.name},
          {"replicas",
           {{"wanted", pool.wanted ? json(*pool.wanted) : json(nullptr)},
            {"total", pool.replicas},
            {"ready", pool.ready},
            {"serving", pool.serving},
            {"draining", pool.draining}}},
          {"target", std::move(target)},
          {"list", {{"configMap", pool.config_map}, {"revision", pool.revision}}},
          {"consumers", std::move(consumers)},
          {"consumerCount", pool.consumer_count},
          {"problems", std::move(found)},
          {"endpoints", std::move(endpoints)},
          {"endpointsOmitted", pool.omitted}};
}

json status_list_json(const std::vector<PoolView>& pools, api::Timestamp now) {
  json items = json::array();
  for (const PoolView& pool : pools) items.push_back(status_json(pool, now));
  return {{"apiVersion", kReportVersion}, {"kind", "PoolStatusList"}, {"items", std::move(items)}};
}

}  // namespace poolwarden::commands
