// What a scenario may expect.
#include "scenarios/scenario_run.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::scenarios {
namespace {

std::runtime_error unmet(std::string text) {
  return std::runtime_error(std::move(text));
}

void expect_equal(const std::string& what, const std::string& wanted, const std::string& found) {
  if (wanted != found) throw unmet(fmt::format("{}: expected '{}', found '{}'", what, wanted, found));
}

std::string shown(const json& value) {
  if (value.is_null()) return "none";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

json at(const json& object, const std::string& pointer) {
  const json::json_pointer path(pointer);
  return object.contains(path) ? object.at(path) : json();
}

// "3", "<=3", ">=1".
void expect_number(const std::string& what, const std::string& wanted, std::size_t found) {
  const std::size_t sign = wanted.find_first_of("0123456789");
  if (sign == std::string::npos) throw unmet("not a number: " + wanted);
  const std::size_t bound = std::stoull(wanted.substr(sign));
  const std::string relation = wanted.substr(0, sign);
  const bool holds = relation == "<="   ? found <= bound
                     : relation == ">=" ? found >= bound
                     : relation.empty() ? found == bound
                                        : throw unmet("no such relation: " + relation);
  if (!holds) throw unmet(fmt::format("{}: expected {}, found {}", what, wanted, found));
}

bool is_write(const sim::SimNetwork::Request& request) {
  const bool reads = request.verb == "get" || request.verb == "list" || request.verb == "watch";
  return !reads && request.resource != "events" && request.resource != "leases";
}

}  // namespace

void ScenarioRun::add_object_expectations() {
  expectations_["endpoints"] = {1, 12, [this](const Words& w) {
                                  std::vector<std::string> wanted(w.begin() + 1, w.end());
                                  std::sort(wanted.begin(), wanted.end());
                                  const auto found = world_.invariants().published_pods("default", w[0]);
                                  expect_equal("endpoints of " + w[0],
                                               fmt::format("{}", fmt::join(wanted, " ")),
                                               fmt::format("{}", fmt::join(found, " ")));
                                }};
  expectations_["text"] = {
      1, 9, [this](const Words& w) {
        std::string wanted;
        for (std::size_t i = 1; i < w.size(); ++i) wanted += w[i] + "\n";
        expect_equal("endpoints.txt of " + w[0], wanted,
                     shown(at(cluster_.get("configmaps", w[0] + "-endpoints"), "/data/endpoints.txt")));
      }};
  expectations_["label"] = {
      2, 2, [this](const Words& w) {
        expect_equal("label of " + w[0], w[1],
                     shown(at(cluster_.get("pods", w[0]), "/metadata/labels/poolwarden.io~1serving")));
      }};
  expectations_["field"] = {4, 4, [this](const Words& w) {
                              expect_equal(fmt::format("{} of {}", w[2], w[1]), w[3],
                                           shown(at(cluster_.get(w[0], w[1]), w[2])));
                            }};
  expectations_["condition"] = {
      3, 4, [this](const Words& w) {
        for (const json& condition : at(cluster_.get("inferencepools", w[0]), "/status/conditions")) {
          if (condition.value("type", "") != w[1]) continue;
          expect_equal(fmt::format("{} of {} ({})", w[1], w[0], condition.value("message", "")), w[2],
                       condition.value("status", ""));
          if (w.size() > 3) expect_equal("its reason", w[3], condition.value("reason", ""));
          return;
        }
        expect_equal(w[1] + " of " + w[0], w[2], "none");
      }};
  expectations_["replicas"] = {3, 3, [this](const Words& w) {
                                 const std::string resource = w[0] == "pool"          ? "inferencepools"
                                                              : w[0] == "statefulset" ? "statefulsets"
                                                                                      : "deployments";
                                 expect_equal(w[0] + " " + w[1], w[2],
                                              shown(at(cluster_.get(resource, w[1]), "/spec/replicas")));
                               }};
  expectations_["exists"] = {2, 2, [this](const Words& w) {
                               if (cluster_.get(w[0], w[1]).is_null())
                                 throw unmet(fmt::format("{} {} is not there", w[0], w[1]));
                             }};
  expectations_["absent"] = {2, 2, [this](const Words& w) {
                               if (!cluster_.get(w[0], w[1]).is_null())
                                 throw unmet(fmt::format("{} {} is there", w[0], w[1]));
                             }};
  expectations_["event"] = {2, 2, [this](const Words& w) {
                              if (!has_event(w[0], w[1]))
                                throw unmet(fmt::format("there is no event {} on {}", w[1], w[0]));
                            }};
  expectations_["no-event"] = {2, 2, [this](const Words& w) {
                                 if (has_event(w[0], w[1]))
                                   throw unmet(fmt::format("there is an event {} on {}", w[1], w[0]));
                               }};
}

bool ScenarioRun::has_event(const std::string& name, const std::string& reason) {
  const json list =
      world_.request(kube::HttpMethod::kGet, "/apis/events.k8s.io/v1/namespaces/default/events", nullptr);
  for (const json& body : list.at("items")) {
    if (shown(at(body, "/regarding/name")) == name && shown(at(body, "/reason")) == reason) return true;
  }
  return false;
}

std::size_t ScenarioRun::count(const std::string& verb, const std::string& resource) const {
  std::size_t found = 0;
  for (const auto& [name, index] : operators_) {
    const auto& requests = world_.op(index).network().requests;
    const auto mark = marks_.find(name);
    for (std::size_t i = mark == marks_.end() ? 0 : mark->second; i < requests.size(); ++i) {
      if ((verb == "*" || requests[i].verb == verb) && (resource == "*" || requests[i].resource == resource))
        ++found;
    }
  }
  return found;
}

std::size_t ScenarioRun::writes() const {
  std::size_t found = 0;
  for (const auto& [name, index] : operators_) {
    const auto& requests = world_.op(index).network().requests;
    const auto mark = marks_.find(name);
    const std::size_t from = mark == marks_.end() ? 0 : mark->second;
    found += static_cast<std::size_t>(
        std::count_if(requests.begin() + static_cast<std::ptrdiff_t>(from), requests.end(), is_write));
  }
  return found;
}

void ScenarioRun::add_traffic_expectations() {
  // Both count what has been sent since the last mark.
  expectations_["requests"] = {3, 3, [this](const Words& w) {
                                 expect_number(fmt::format("requests {} {}", w[0], w[1]), w[2],
                                               count(w[0], w[1]));
                               }};
  expectations_["writes"] = {1, 1, [this](const Words& w) { expect_number("writes", w[0], writes()); }};
  expectations_["log"] = {1, 1, [this](const Words& w) {
                            for (const std::string& line : everything_logged()) {
                              if (line.find(w[0]) != std::string::npos) return;
                            }
                            throw unmet("nothing was logged with '" + w[0] + "'");
                          }};
  expectations_["synced"] = {1, 2, [this](const Words& w) {
                               const auto health = op(w.size() > 1 ? w[1] : "a").health();
                               // Kinds that no pool names are not read.
                               const bool all =
                                   std::all_of(health.feeds.begin(), health.feeds.end(),
                                               [](const auto& feed) { return feed.synced || !feed.started; });
                               expect_equal("all caches synced", w[0], all ? "yes" : "no");
                             }};
  // What /readyz says of the kind.
  expectations_["reads"] = {2, 3, [this](const Words& w) {
                              const auto& kinds = control::WatchedKinds::kNames;
                              const auto kind = std::find(kinds.begin(), kinds.end(), w[0]);
                              if (kind == kinds.end()) throw unmet("no such kind is watched: " + w[0]);
                              const auto index = static_cast<std::size_t>(kind - kinds.begin());
                              const auto feed = op(w.size() > 2 ? w[2] : "a").health().feeds[index];
                              const auto problem = control::not_up_to_date(
                                  feed, control::WatchedKinds::kOptional[index], world_.time().now().mono);
                              expect_equal(fmt::format("reads {} ({})", w[0], problem.value_or("ok")), w[1],
                                           problem ? "no" : "yes");
                            }};
  expectations_["leader"] = {1, 1, [this](const Words& w) {
                               std::string leaders;
                               for (const auto& [name, index] : operators_) {
                                 if (world_.op(index).running() && world_.op(index).health().leading)
                                   leaders += name;
                               }
                               expect_equal("leader", w[0], leaders.empty() ? "none" : leaders);
                             }};
  expectations_["exited"] = {
      2, 2, [this](const Words& w) {
        const auto& exit = op(w[0]).exited();
        expect_equal("exit of " + w[0], w[1], !exit ? "no" : exit->failed ? "failed" : "clean");
      }};
  // The slowest of all of them: ">=3900", in milliseconds.
  expectations_["slowest"] = {
      1, 2, [this](const Words& w) {
        const auto& latencies = op(w.size() > 1 ? w[1] : "a").record().withdrawals;
        if (latencies.empty()) throw unmet("nothing was withdrawn");
        const auto slowest = *std::max_element(latencies.begin(), latencies.end());
        expect_number(
            "slowest withdrawal", w[0],
            static_cast<std::size_t>(std::chrono::duration_cast<std::chrono::milliseconds>(slowest).count()));
      }};
  expectations_["standby-withdrawals"] = {2, 2, [this](const Words& w) {
                                            expect_number("withdrawals by the standby " + w[1], w[0],
                                                          op(w[1]).record().standby_withdrawals);
                                          }};
  expectations_["withdrawals"] = {
      2, 3, [this](const Words& w) {
        const auto& latencies = op(w.size() > 2 ? w[2] : "a").record().withdrawals;
        expect_number("withdrawals", w[0], latencies.size());
        const double bound = std::stod(w[1]);  // in milliseconds of virtual time: hops, not speed
        for (const kube::Duration latency : latencies) {
          const double took = std::chrono::duration<double, std::milli>(latency).count();
          if (took > bound) throw unmet(fmt::format("a withdrawal took {} ms, more than {}", took, bound));
        }
      }};
}

}  // namespace poolwarden::scenarios
