#include "scenarios/scenario_run.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::scenarios {
namespace {

std::runtime_error problem(std::string text) {
  return std::runtime_error(std::move(text));
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

apiserver::FaultRule fault_rule(const Words& words) {
  apiserver::FaultRule rule;
  const auto kind = apiserver::parse_fault_kind(words[0]);
  if (!kind) throw problem("no such fault: " + words[0]);
  rule.kind = *kind;
  rule.verb = words[1] == "*" ? "" : words[1];
  rule.resource = words[2] == "*" ? "" : words[2];
  for (const auto& [key, value] : options(words, 3)) {
    if (key == "count") {
      rule.count = std::stoull(value);
    } else if (key == "skip") {
      rule.skip = std::stoull(value);
    } else if (key == "seconds") {
      rule.seconds = std::stod(value);
    } else if (key == "name") {
      rule.name = value;
    } else if (key == "bytes") {
      rule.bytes = std::stoull(value);
    } else if (key != "operator") {
      throw problem("no such option of a fault: " + key);
    }
  }
  return rule;
}

sim::WorldOptions world_options() {
  sim::WorldOptions options;
  options.replica_sets = true;
  return options;
}

}  // namespace

kube::Duration duration(const std::string& text) {
  std::size_t used = 0;
  const double number = std::stod(text, &used);
  const std::string unit = text.substr(used);
  const double scale = unit == "ms"  ? 1e-3
                       : unit == "s" ? 1.0
                       : unit == "m" ? 60.0
                       : unit == "h" ? 3600.0
                                     : 0.0;
  if (scale == 0.0) throw problem("not a duration: " + text);
  return std::chrono::duration_cast<kube::Duration>(std::chrono::duration<double>(number * scale));
}

ScenarioRun::ScenarioRun() : world_(world_options()) {
  add_object_verbs();
  add_pod_verbs();
  add_fault_verbs();
  add_process_verbs();
  add_drain_verbs();
  add_consumer_verbs();
  add_slice_verbs();
  add_drain_expectations();
  add_object_expectations();
  add_traffic_expectations();
}

void ScenarioRun::dispatch(const std::map<std::string, Verb>& verbs, const std::string& kind,
                           const Words& words) {
  const auto found = verbs.find(words.front());
  if (found == verbs.end()) throw problem(fmt::format("unknown {}: {}", kind, words.front()));
  const Words rest(words.begin() + 1, words.end());
  if (rest.size() < found->second.least || rest.size() > found->second.most) {
    throw problem(
        fmt::format("{} takes {} to {} words", words.front(), found->second.least, found->second.most));
  }
  found->second.run(rest);
}

void ScenarioRun::execute(const Words& words) {
  if (words.front() != "expect") return dispatch(verbs_, "verb", words);
  if (words.size() < 2) throw problem("expect what?");
  dispatch(expectations_, "expectation", Words(words.begin() + 1, words.end()));
}

void ScenarioRun::check_invariants() const {
  const auto& violations = world_.invariants().violations();
  if (!violations.empty()) throw problem("a rule was broken: " + violations.front());
  if (kubernetes_slices_ && !kubernetes_slices_->lost().empty())
    throw problem("a ready endpoint was missing: " + kubernetes_slices_->lost().front());
}

void ScenarioRun::finish() {
  if (!finish_) return;
  world_.settle(std::chrono::minutes(30));
  check_invariants();
  for (const auto& pool :
       world_.model().list({"poolwarden.io", "v1alpha1", "inferencepools", "InferencePool"})) {
    const std::string name = pool->body().at("metadata").at("name");
    const auto fit = world_.invariants().fit_pods("default", name);
    const auto published = world_.invariants().published_pods("default", name);
    if (fit != published) {
      throw problem(fmt::format("at rest, pool {} publishes [{}] and should publish [{}]", name,
                                fmt::join(published, " "), fmt::join(fit, " ")));
    }
  }
}

std::vector<std::string> ScenarioRun::everything_logged() const {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < world_.operators(); ++i) {
    for (const control::LogLine& line : world_.op(i).record().logs) {
      std::string text = line.message;
      for (const auto& [key, value] : line.fields) text += fmt::format(" {}={}", key, value);
      lines.push_back(std::move(text));
    }
  }
  return lines;
}

std::vector<std::string> ScenarioRun::logs() const {
  return everything_logged();
}

sim::SimOperator& ScenarioRun::op(const std::string& name) {
  const auto found = operators_.find(name);
  if (found == operators_.end()) throw problem("no operator " + name + " was started");
  return world_.op(found->second);
}

sim::SimOperator& ScenarioRun::op_or_new(const std::string& name) {
  if (!operators_.contains(name)) {
    operators_[name] = world_.operators();
    world_.add_operator({.name = name,
                         .seed = 11 + world_.operators(),
                         .leader_elect = elect_,
                         .engines = [this](const auto& request) { return engine_of(request); },
                         .list_limits = list_limits_,
                         .step_pods = step_pods_,
                         .step_time = step_time_});
  }
  return op(name);
}

void ScenarioRun::for_each_op(const std::function<void(sim::SimOperator&)>& act) {
  for (std::size_t i = 0; i < world_.operators(); ++i) act(world_.op(i));
}

void ScenarioRun::add_object_verbs() {
  verbs_["pool"] = {1, 9, [this](const Words& w) { cluster_.create_pool(w[0], options(w, 1)); }};
  verbs_["deployment"] = {1, 3, [this](const Words& w) { cluster_.create_deployment(w[0], options(w, 1)); }};
  verbs_["node"] = {2, 2, [this](const Words& w) { cluster_.create_node(w[0], w[1]); }};
  verbs_["node-ready"] = {2, 2, [this](const Words& w) { cluster_.set_node_ready(w[0], w[1]); }};
  verbs_["autoscaler"] = {3, 3, [this](const Words& w) {
                            if (w[1] != "pool" && w[1] != "target")
                              throw problem("an autoscaler of pool or target");
                            cluster_.create_autoscaler(w[0], w[1], w[2]);
                          }};
  verbs_["definition"] = {1, 2, [this](const Words& w) {
                            if (w[0] != "older" && w[0] != "current")
                              throw problem("definition older FIELD, or current");
                            cluster_.set_definition(w.size() > 1 ? w[1] : "");
                          }};
  verbs_["secret"] = {2, 2, [this](const Words& w) { cluster_.create_secret(w[0], w[1]); }};
  verbs_["foreign"] = {2, 2, [this](const Words& w) { cluster_.create_foreign(w[0], w[1]); }};
  verbs_["scale"] = {
      3, 3, [this](const Words& w) {
        const std::map<std::string, std::string> kinds = {
            {"pool", "inferencepools"}, {"target", "deployments"}, {"statefulset", "statefulsets"}};
        if (w[0] == "set") return cluster_.scale_replica_set(w[1], std::stoi(w[2]));
        if (!kinds.contains(w[0])) throw problem("scale pool, target, statefulset or set");
        cluster_.merge(kinds.at(w[0]), w[1], fmt::format(R"({{"spec":{{"replicas":{}}}}})", w[2]));
      }};
  verbs_["patch"] = {3, 4,
                     [this](const Words& w) { cluster_.merge(w[0], w[1], w[2], w.size() > 3 ? w[3] : ""); }};
  verbs_["delete"] = {2, 2, [this](const Words& w) { cluster_.remove(w[0], w[1]); }};
}

void ScenarioRun::add_pod_verbs() {
  verbs_["pod"] = {2, 6, [this](const Words& w) { cluster_.create_pod(w[0], w[1], options(w, 2)); }};
  verbs_["pods"] = {3, 7, [this](const Words& w) {  // how many of them: PREFIX1, PREFIX2, ...
                      for (int i = 1; i <= std::stoi(w[1]); ++i)
                        cluster_.create_pod(w[0] + std::to_string(i), w[2], options(w, 3));
                    }};
  verbs_["up"] = {1, 3, [this](const Words& w) { cluster_.bring_up(w[0], options(w, 1)); }};
  verbs_["ready"] = {1, 1, [this](const Words& w) { cluster_.set_ready(w[0], true); }};
  verbs_["notready"] = {1, 1, [this](const Words& w) { cluster_.set_ready(w[0], false); }};
  // In the node controller's words, not in the kubelet's.
  verbs_["marked"] = {1, 12, [this](const Words& w) {
                        for (const std::string& pod : w) cluster_.mark_unready(pod);
                      }};
  verbs_["phase"] = {2, 3,
                     [this](const Words& w) { cluster_.set_phase(w[0], w[1], w.size() > 2 ? w[2] : ""); }};
  verbs_["condition"] = {3, 4, [this](const Words& w) {
                           cluster_.set_condition(w[0], w[1], w[2] == "True", w.size() > 3 ? w[3] : "");
                         }};
  verbs_["ips"] = {1, 3, [this](const Words& w) { cluster_.set_ips(w[0], Words(w.begin() + 1, w.end())); }};
  verbs_["relabel"] = {3, 3, [this](const Words& w) { cluster_.relabel(w[0], w[1], w[2]); }};
  verbs_["terminate"] = {
      1, 2, [this](const Words& w) { cluster_.terminate(w[0], w.size() > 1 ? std::stoi(w[1]) : 30); }};
  verbs_["gone"] = {1, 1, [this](const Words& w) { cluster_.remove_pod(w[0]); }};
}

void ScenarioRun::add_fault_verbs() {
  verbs_["fault"] = {3, 7, [this](const Words& w) {
                       const auto rule = fault_rule(w);
                       const Options given = options(w, 3);
                       if (const auto one = given.find("operator"); one != given.end()) {
                         op(one->second).network().faults.add(rule);
                         return;
                       }
                       if (operators_.empty()) op_or_new("a");  // a fault that waits for the start
                       for_each_op([&rule](sim::SimOperator& each) { each.network().faults.add(rule); });
                     }};
  verbs_["heal"] = {0, 0, [this](const Words&) {
                      for_each_op([](sim::SimOperator& each) {
                        each.network().faults.clear();
                        each.network().down = false;
                        each.network().silent = false;
                      });
                    }};
  // The API server is gone: connections are cut, new ones refused.
  verbs_["down"] = {0, 1, [this](const Words& w) {
                      const auto act = [](sim::SimOperator& each) {
                        each.network().down = true;
                        each.cut();
                      };
                      if (w.empty()) return for_each_op(act);
                      act(op(w[0]));
                    }};
  // Connections stay open and nothing arrives any more, as behind a firewall that forgot them.
  verbs_["silence"] = {0, 1, [this](const Words& w) {
                         const auto act = [](sim::SimOperator& each) { each.network().silent = true; };
                         if (w.empty()) return for_each_op(act);
                         act(op(w[0]));
                       }};
  verbs_["cut"] = {0, 0, [this](const Words&) { for_each_op([](sim::SimOperator& each) { each.cut(); }); }};
  verbs_["compact"] = {0, 0, [this](const Words&) { world_.model().compact(); }};
  verbs_["forbid"] = {2, 2, [this](const Words& w) {
                        denied_.push_back({"poolwarden", w[0], w[1]});
                        world_.model().set_deny_rules(denied_);
                      }};
  verbs_["allow"] = {0, 0, [this](const Words&) {
                       denied_.clear();
                       world_.model().set_deny_rules(denied_);
                     }};
}

void ScenarioRun::add_process_verbs() {
  verbs_["leader-election"] = {0, 0, [this](const Words&) { elect_ = true; }};
  // Of operators that are started for the first time: a list has a ConfigMap for each so many endpoints.
  verbs_["shard-size"] = {1, 1, [this](const Words& w) { list_limits_.shard_endpoints = std::stoul(w[0]); }};
  // The same operators look at so many pods in a step, and a step takes so long.
  verbs_["step-pods"] = {1, 2, [this](const Words& w) {
                           step_pods_ = std::stoul(w[0]);
                           step_time_ = w.size() > 1 ? duration(w[1]) : kube::Duration{};
                         }};
  verbs_["start"] = {0, 1, [this](const Words& w) { op_or_new(w.empty() ? "a" : w[0]).start(); }};
  verbs_["stop"] = {0, 1, [this](const Words& w) { op(w.empty() ? "a" : w[0]).stop(); }};
  verbs_["kill"] = {0, 1, [this](const Words& w) { op(w.empty() ? "a" : w[0]).kill(); }};
  // It stands still, and goes on with what it knew.
  verbs_["pause"] = {1, 1, [this](const Words& w) { op(w[0]).pause(); }};
  verbs_["resume"] = {1, 1, [this](const Words& w) { op(w[0]).resume(); }};
  verbs_["clock"] = {2, 2, [this](const Words& w) { op(w[0]).set_clock(duration(w[1])); }};
  verbs_["tick"] = {1, 1, [this](const Words& w) { world_.time().run_for(duration(w[0])); }};
  verbs_["settle"] = {0, 0, [this](const Words&) { world_.settle(std::chrono::minutes(30)); }};
  verbs_["mark"] = {0, 0, [this](const Words&) {
                      for (const auto& [name, index] : operators_)
                        marks_[name] = world_.op(index).network().requests.size();
                    }};
  verbs_["end"] = {0, 0, [this](const Words&) { finish_ = false; }};
}

}  // namespace poolwarden::scenarios
