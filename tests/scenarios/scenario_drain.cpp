// The verbs of drains: the gate, ReplicaSets and StatefulSets, nodes that are emptied, and what engines say.
#include "publish/calls.h"
#include "scenarios/scenario_run.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::scenarios {
namespace {

constexpr const char* kGate = "poolwarden-drain-gate";
constexpr const char* kMarks[] = {"poolwarden.io/drain-started", "poolwarden.io/drain-reason",
                                  "poolwarden.io/saved-deletion-cost"};
constexpr const char* kCost = "controller.kubernetes.io/pod-deletion-cost";

std::runtime_error problem(std::string text) {
  return std::runtime_error(std::move(text));
}

void expect_equal(const std::string& what, const std::string& wanted, const std::string& found) {
  if (wanted != found) throw problem(fmt::format("{}: expected '{}', found '{}'", what, wanted, found));
}

Options options(const Words& words, std::size_t from) {
  Options found;
  for (std::size_t i = from; i < words.size(); ++i) {
    const std::size_t at = words[i].find('=');
    if (at == std::string::npos) throw problem("not key=value: " + words[i]);
    found[words[i].substr(0, at)] = words[i].substr(at + 1);
  }
  return found;
}

}  // namespace

json ScenarioRun::annotation(const std::string& pod, const std::string& key) const {
  return cluster_.get("pods", pod).at("metadata").value("annotations", json::object()).value(key, json());
}

bool ScenarioRun::has_address(const std::string& pod, const std::string& ip) const {
  const auto object = world_.model().find(kube::kPods, "default", pod);
  return object && object->body().value("/status/podIP"_json_pointer, "") == ip;
}

// As the reader words it.
std::optional<engine::NoLoad> ScenarioRun::refusal_of_key(const engine::LoadRequest& request) const {
  for (const auto& [pod, key] : engine_keys_) {
    if (!has_address(pod, request.ip)) continue;
    for (const engine::LoadSource& source : request.sources) {
      if (!source.api_key) return engine::NoLoad{"answered 401: it wants a key"};
      if (source.api_key->value != key)
        return engine::NoLoad{"answered 401: it did not accept the key", false, source.api_key->id};
    }
  }
  return std::nullopt;
}

sim::EngineAnswer ScenarioRun::engine_of(const engine::LoadRequest& request) const {
  if (auto refusal = refusal_of_key(request)) return {tl::unexpected(std::move(*refusal))};
  std::vector<tl::expected<engine::Load, engine::NoLoad>> ports;
  sim::EngineAnswer together{engine::Load{}};  // idle
  for (const auto& [pod, answers] : engines_) {
    if (!has_address(pod, request.ip)) continue;
    if (const auto any = answers.find(0); any != answers.end()) return any->second;
    for (const engine::LoadSource& source : request.sources) {
      const auto found = answers.find(source.port);
      const sim::EngineAnswer answer =
          found == answers.end() ? sim::EngineAnswer{engine::Load{}} : found->second;
      together.after = std::max(together.after, answer.after);
      ports.push_back(answer.load);
    }
  }
  if (!ports.empty()) together.load = engine::load_of_those_that_answer(ports);
  return together;
}

// engine POD wants key=KEY: besides, it answers nobody without that.
// engine POD says busy=N [cache=SHARE] [work=COUNT] | engine POD hangs | engine POD refuses why=TEXT | engine
// POD closed; each with [port=N]
void ScenarioRun::set_engine(const std::string& pod, const std::string& how, const Options& options) {
  if (how == "wants") {
    engine_keys_[pod] = options.at("key");
    return;
  }
  sim::EngineAnswer answer{engine::Load{}};
  if (how == "hangs") {
    answer.after = std::chrono::hours(1);
  } else if (how == "refuses") {
    answer.load = tl::unexpected(engine::NoLoad{options.at("why")});
  } else if (how == "closed") {  // nobody listens
    answer.load = tl::unexpected(engine::NoLoad{"refused-the-connection", true});
  } else if (how == "says") {
    answer.load->in_flight = std::stod(options.at("busy"));
    if (options.contains("cache")) answer.load->cache_usage = std::stod(options.at("cache"));
    if (options.contains("work")) answer.load->work = std::stod(options.at("work"));
  } else {
    throw problem("engine POD says busy=N [cache=SHARE], hangs, closed, or refuses why=TEXT");
  }
  engines_[pod][options.contains("port") ? std::stoi(options.at("port")) : 0] = answer;
}

void ScenarioRun::add_drain_verbs() {
  verbs_["gate"] = {1, 1, [this](const Words& w) {
                      if (w[0] == "present") return world_.install_gate();
                      if (w[0] == "missing")
                        return cluster_.remove("validatingadmissionpolicybindings", kGate);
                      if (w[0] == "narrowed") {  // it holds other namespaces no more
                        return cluster_.merge(
                            "validatingadmissionpolicybindings", kGate,
                            R"({"spec":{"matchResources":{"namespaceSelector":{"matchLabels":{"a":"b"}}}}})");
                      }
                      if (w[0] != "edited") throw problem("gate present, missing, narrowed or edited");
                      cluster_.merge("validatingadmissionpolicybindings", kGate,
                                     R"({"spec":{"validationActions":["Audit"]}})");
                    }};
  verbs_["replicaset"] = {
      3, 5, [this](const Words& w) { cluster_.create_replica_set(w[0], std::stoi(w[1]), options(w, 2)); }};
  verbs_["statefulset"] = {
      2, 7, [this](const Words& w) { cluster_.create_stateful_set(w[0], std::stoi(w[1]), options(w, 2)); }};
  verbs_["update"] = {2, 3, [this](const Words& w) {
                        if (w[0] != "statefulset") throw problem("update statefulset NAME [partition=N]");
                        cluster_.update_stateful_set(w[1], options(w, 2));
                      }};
  verbs_["engine"] = {2, 5, [this](const Words& w) { set_engine(w[0], w[1], options(w, 2)); }};
  verbs_["engines"] = {3, 6, [this](const Words& w) {  // of pods PREFIX1, PREFIX2, ...
                         for (int i = 1; i <= std::stoi(w[1]); ++i)
                           set_engine(w[0] + std::to_string(i), w[2], options(w, 3));
                       }};
  verbs_["cordon"] = {
      1, 1, [this](const Words& w) { cluster_.merge("nodes", w[0], R"({"spec":{"unschedulable":true}})"); }};
  verbs_["uncordon"] = {
      1, 1, [this](const Words& w) { cluster_.merge("nodes", w[0], R"({"spec":{"unschedulable":null}})"); }};
  verbs_["evict"] = {2, 2, [this](const Words& w) {
                       expect_equal("eviction of " + w[0], w[1], cluster_.evict(w[0]) ? "granted" : "held");
                     }};
  verbs_["drain-node"] = {2, 2, [this](const Words& w) { drain_node(w[0], duration(w[1])); }};
  verbs_["annotate"] = {
      3, 3, [this](const Words& w) {
        const json value = w[2] == "none" ? json() : json(w[2]);
        cluster_.merge("pods", w[0], json({{"metadata", {{"annotations", {{w[1], value}}}}}}).dump());
      }};
}

// consumer NAME pool=X [kind=haproxy] [delay=500ms] [lease=SECONDS]: one that follows the list and confirms.
void ScenarioRun::add_consumer_verbs() {
  const auto start = [this](const std::string& name, const Options& options) {
    sim::ConsumerOptions made{.pool = options.at("pool")};
    if (options.contains("kind")) made.kind = options.at("kind");
    if (options.contains("delay")) made.delay = duration(options.at("delay"));
    if (options.contains("lease")) made.lease_seconds = std::stoi(options.at("lease"));
    consumers_.start(name, std::move(made));
  };
  verbs_["consumer"] = {2, 5, [start](const Words& w) { start(w[0], options(w, 1)); }};
  verbs_["consumers"] = {3, 6, [start](const Words& w) {  // PREFIX1, PREFIX2, ...
                           for (int i = 1; i <= std::stoi(w[1]); ++i)
                             start(w[0] + std::to_string(i), options(w, 2));
                         }};
  verbs_["consumer-dies"] = {1, 1, [this](const Words& w) { consumers_.die(w[0]); }};
  verbs_["consumer-leaves"] = {1, 1, [this](const Words& w) { consumers_.leave(w[0]); }};
  // Whatever the list says, until it follows again.
  verbs_["consumer-says"] = {2, 2, [this](const Words& w) { consumers_.say(w[0], w[1]); }};
  verbs_["consumer-follows"] = {1, 1, [this](const Words& w) { consumers_.follow(w[0]); }};
}

// As kubectl drain does: cordons it, and asks for each of its pods every 5 s until they are gone.
void ScenarioRun::drain_node(const std::string& node, kube::Duration at_most) {
  constexpr auto kAsksAgain = std::chrono::seconds(5);
  cluster_.merge("nodes", node, R"({"spec":{"unschedulable":true}})");
  for (kube::Duration so_far{0};; so_far += kAsksAgain) {
    std::vector<std::string> left;
    for (const std::string& name : cluster_.pods_on(node)) {
      if (cluster_.evict(name)) {
        cluster_.remove_pod(name);
      } else {
        left.push_back(name);
      }
    }
    if (left.empty()) return;
    if (so_far >= at_most) throw problem(fmt::format("{} still has {}", node, fmt::join(left, " ")));
    world_.time().run_for(kAsksAgain);
  }
}

void ScenarioRun::add_drain_expectations() {
  expectations_["terminating"] = {
      1, 12, [this](const Words& w) {
        for (const std::string& pod : w) {
          if (!cluster_.get("pods", pod).at("metadata").contains("deletionTimestamp"))
            throw problem(pod + " is not being deleted");
        }
      }};
  expectations_["staying"] = {1, 12, [this](const Words& w) {
                                for (const std::string& pod : w) {
                                  const json object = cluster_.get("pods", pod);
                                  if (object.is_null() || object.at("metadata").contains("deletionTimestamp"))
                                    throw problem(pod + " is being deleted, or gone");
                                }
                              }};
  expectations_["cost"] = {2, 2, [this](const Words& w) {
                             const json found = annotation(w[0], kCost);
                             expect_equal("deletion cost of " + w[0], w[1],
                                          found.is_null() ? "none" : found.get<std::string>());
                           }};
  expectations_["unmarked"] = {1, 12, [this](const Words& w) {
                                 for (const std::string& pod : w) {
                                   for (const char* mark : kMarks) {
                                     if (!annotation(pod, mark).is_null())
                                       throw problem(fmt::format("{} still has {}", pod, mark));
                                   }
                                 }
                               }};
  // What no log, status, Event or list may say.
  expectations_["untold"] = {1, 1, [this](const Words& w) {
                               std::vector<std::string> told = everything_logged();
                               for (const auto& type : {publish::kInferencePools, kube::kEvents, kube::kPods,
                                                        kube::kConfigMaps, kube::kServices}) {
                                 for (const auto& object : world_.model().list(type))
                                   told.push_back(object->body().dump());
                               }
                               for (const std::string& text : told) {
                                 if (text.find(w[0]) != std::string::npos) throw problem("told: " + text);
                               }
                             }};
  // How many ended so: completed, timed_out, cancelled or lost.
  expectations_["drains"] = {2, 2, [this](const Words& w) {
                               const auto& drains = op("a").record().drains;
                               const auto found = drains.find(w[0]);
                               expect_equal("drains " + w[0], w[1],
                                            std::to_string(found == drains.end() ? 0 : found->second));
                             }};
  // What status says of an endpoint: one of its fields, of which a text may go on.
  expectations_["endpoint"] = {
      4, 40, [this](const Words& w) {
        const json pool = cluster_.get("inferencepools", w[0]);
        for (const json& endpoint : pool.value("/status/endpoints"_json_pointer, json::array())) {
          if (endpoint.value("pod", "") != w[1]) continue;
          const json value = endpoint.value(w[2], json());
          std::string found = value.is_null()     ? "none"
                              : value.is_string() ? value.get<std::string>()
                                                  : value.dump();
          const std::string wanted = fmt::format("{}", fmt::join(w.begin() + 3, w.end(), " "));
          if (w.size() > 4) found.resize(std::min(found.size(), wanted.size()));
          return expect_equal(fmt::format("{} of {}", w[2], w[1]), wanted, found);
        }
        throw problem("status does not name " + w[1]);
      }};
}

}  // namespace poolwarden::scenarios
