#include "commands/why_report.h"

#include "api/names.h"
#include "commands/durations.h"
#include "commands/operator_liveness.h"
#include "commands/pod_reason.h"
#include "commands/status_report.h"
#include "pool/drain.h"
#include "pool/plan.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

constexpr std::size_t kMaxEvents = 10;

const api::Endpoint* listed(const PoolFacts& facts, const PodView& pod) {
  if (!facts.list.value) return nullptr;
  for (const api::Endpoint& each : facts.list.value->endpoints) {
    if (each.uid == pod.uid) return &each;
  }
  return nullptr;
}

// The status's word on the pod, or what its annotations tell where status has no room for it or lags behind.
EndpointView endpoint_of(const PoolFacts& facts, const PodView& pod, std::string_view state) {
  EndpointView out;
  if (const EndpointView* found = facts.pool.endpoint(pod.name); found && found->state == state) {
    out = *found;
  }
  out.state = state;
  if (out.reason.empty()) out.reason = pod.annotation(api::kDrainReasonAnnotation);
  if (!out.since && state != "drained")
    out.since = api::parse_rfc3339(pod.annotation(api::kDrainStartedAnnotation));
  return out;
}

bool is_requested(const PodView& pod) {
  return !pod.annotation(api::kDrainRequestAnnotation).empty();
}

std::string in_brackets(const std::string& text) {
  return text.empty() ? text : fmt::format(" ({})", text);
}

// A command to copy.
std::string command(const WhyFacts& all, std::string_view verb, std::string_view flags = {}) {
  return fmt::format("{} {} {} -n {}{}", all.program, verb, all.pod_name, all.ns, flags);
}

// Nothing, unless it may still answer.
std::string finishing(const PoolFacts& facts, const PodView& pod, api::Timestamp now) {
  if (hold_of(pod, now) != Hold::kFinishing) return {};
  const EndpointView seen = endpoint_of(facts, pod, "finishing");
  return fmt::format(". It may still answer what it has: it is {}, and held meanwhile",
                     state_sentence(seen, now));
}

PoolVerdict draining(const PoolFacts& facts, const PodView& pod, const WhyFacts& all, api::Timestamp now) {
  const EndpointView seen = endpoint_of(facts, pod, "draining");
  PoolVerdict out{facts.pool.name, Verdict::kDraining, seen.reason, "", ""};
  out.words =
      fmt::format("gets no new requests: it is {}{}", state_sentence(seen, now), in_brackets(seen.reason));
  if (!seen.message.empty()) out.words += "; " + seen.message;
  if (is_requested(pod)) out.fix = "take it back with: " + command(all, "drain", " --undo");
  return out;
}

PoolVerdict drained(const PoolFacts& facts, const PodView& pod, const WhyFacts& all, api::Timestamp now) {
  const EndpointView seen = endpoint_of(facts, pod, "drained");
  PoolVerdict out{facts.pool.name, Verdict::kDrained, seen.reason, "", ""};
  out.words = fmt::format("is off the list: it is {}{}", state_sentence(seen, now), in_brackets(seen.reason));
  if (!seen.message.empty()) out.words += "; " + seen.message;
  if (is_requested(pod)) {
    if (seen.message.empty()) out.words += "; a person asked for it, so it stays so until it is deleted";
    out.fix = fmt::format("delete it: {}; or take it back: {}", command(all, "delete"),
                          command(all, "drain", " --undo"));
  } else if (const auto& set = all.set.value; seen.message.empty() && set && set->too_many() > 0) {
    out.words += set->kind == kube::kStatefulSets.kind
                     ? fmt::format("; StatefulSet {} deletes it once those above it are gone", set->name)
                     : fmt::format("; {} {} is about to delete it", set->kind, set->name);
  }
  return out;
}

bool is_of_node(std::string_view reason) {
  return reason == "NodeGone" || reason == "NodeTaint" || reason == "NodeNotReady";
}

// The operator counts the nodes that are not heard of, and says so where they are too many to go by.
bool are_nodes_unseen(const PoolView& pool) {
  const api::Condition* degraded = pool.condition(api::condition::kDegraded);
  return degraded != nullptr && degraded->status == "True" &&
         degraded->reason == api::condition::kNodesUnseen;
}

PoolVerdict on_the_list(const PoolFacts& facts, const PodView& pod, const std::optional<PodReason>& against,
                        bool kept_unready = false) {
  PoolVerdict out{facts.pool.name, Verdict::kListed, "", "is on the list and gets requests", ""};
  if (against && kept_unready) {
    out.words += fmt::format("; {}, and it stays as too few are ready (condition Degraded, PanicThreshold)",
                             against->words);
    return out;
  }
  const EndpointView* seen = facts.pool.endpoint(pod.name);
  if (against && against->only_by_its_node && are_nodes_unseen(facts.pool)) {
    out.words += fmt::format(
        "; {}, but so are many nodes at once, so it stays (condition Degraded, NodesUnseen)", against->words);
    out.fix = look_at_node(pod);
  } else if (against) {
    out.reason = against->reason;
    out.words += fmt::format("; but {}, and the list has not followed", against->words);
    out.fix = is_of_node(against->reason) ? "look whether the operator runs, and may read nodes"
                                          : "look whether the operator runs";
  } else if (is_requested(pod)) {
    out.words += "; its drain was asked for, and the operator has not begun it";
  } else if (seen != nullptr && seen->state == "ready" && !seen->message.empty()) {
    out.words += "; " + seen->message;
  }
  return out;
}

// What the operator holds against the pod's node, where that is more than can be seen from here: its flags
// may name other taints, and it may read nodes.
std::optional<PodReason> as_status_says(const PoolFacts& facts, const PodView& pod,
                                        const Lookup<NodeView>& node) {
  const EndpointView* seen = facts.pool.endpoint(pod.name);
  if (seen == nullptr || seen->state != "withdrawn" || !is_of_node(seen->reason)) return std::nullopt;
  if (!node.problem.empty())
    return PodReason{
        seen->reason,
        fmt::format("the operator withdrew it for its node {} ({}), which cannot be read from here", pod.node,
                    seen->reason),
        ""};
  if (seen->reason != "NodeTaint" || !node.value || node.value->taints.empty()) return std::nullopt;
  return PodReason{seen->reason,
                   fmt::format("its node {} has a taint for which the operator withdraws pods: {}", pod.node,
                               fmt::join(node.value->taints, ", ")),
                   look_at_node(pod)};
}

// What is held against a pod for others: for the rest of its group, or for the template that is active.
std::optional<PodReason> for_others(const PoolFacts& facts, const PodView& pod) {
  const EndpointView* seen = facts.pool.endpoint(pod.name);
  const bool of_others = seen != nullptr && seen->state == "withdrawn" &&
                         (seen->reason == pool::to_string(pool::Withdrawal::kGroupNotReady) ||
                          seen->reason == pool::to_string(pool::Withdrawal::kPreview));
  if (!of_others) return std::nullopt;
  return PodReason{seen->reason, seen->message, ""};
}

// Nothing speaks against the pod, and still it is not on the list.
PoolVerdict not_yet(const PoolFacts& facts, const PodView& pod) {
  PoolVerdict out{facts.pool.name, Verdict::kNotYet, "", "", ""};
  const api::Condition* published = facts.pool.condition(api::condition::kEndpointsPublished);
  if (const EndpointView* seen = facts.pool.endpoint(pod.name); seen && seen->state == "withdrawn") {
    out.reason = seen->reason;
    out.words =
        fmt::format("is fit, but was withdrawn{} and is not back on the list yet", in_brackets(seen->reason));
  } else if (published != nullptr && published->status != "True") {
    out.reason = published->reason;
    out.words = fmt::format("is fit, but not on the list: {}", published->message);
  } else if (!facts.list.problem.empty()) {
    out.words = fmt::format("is fit; whether it is on the list cannot be told: {}", facts.list.problem);
  } else if (facts.list.is_absent()) {
    out.words =
        fmt::format("is fit, but there is no list: ConfigMap {} does not exist", facts.pool.config_map);
  } else {
    out.words = "is fit, but not on the list yet";
  }
  out.fix = "if this lasts for more than a second or two, look whether the operator runs";
  return out;
}

PoolVerdict judge(const PoolFacts& facts, const PodView& pod, const WhyFacts& all, api::Timestamp now) {
  const std::vector<EventView> none;
  const auto against = reason_against(pod, all.node, all.events.value ? *all.events.value : none, now);
  const api::Endpoint* entry = listed(facts, pod);
  if (pod.ends) {
    const std::string where =
        entry == nullptr ? "is off the list: " : "is still on the list, which has not followed: ";
    return {facts.pool.name, Verdict::kTerminating, "Terminating", where + against->words, ""};
  }
  const std::string serving = pod.serving();
  // Its entry on the list says draining until the pod is gone.
  if (is_drained(pod)) return drained(facts, pod, all, now);
  if (serving == api::serving::kDraining ||
      (entry != nullptr && entry->state == api::EndpointState::kDraining))
    return draining(facts, pod, all, now);
  if (entry != nullptr) return on_the_list(facts, pod, against, entry->unready);
  if (!facts.list.value && serving == api::serving::kTrue && !against) {
    PoolVerdict out = on_the_list(facts, pod, against);
    out.words += fmt::format(" (so its label says; the list itself cannot be read{})",
                             facts.list.problem.empty() ? "" : ": " + facts.list.problem);
    return out;
  }
  auto withdrawn = against ? against : as_status_says(facts, pod, all.node);
  if (!withdrawn) withdrawn = for_others(facts, pod);
  if (withdrawn)
    return {facts.pool.name, Verdict::kWithdrawn, withdrawn->reason,
            "is off the list: " + withdrawn->words + finishing(facts, pod, now), withdrawn->fix};
  return not_yet(facts, pod);
}

PoolVerdict judge_gone(const PoolFacts& facts) {
  return {facts.pool.name, Verdict::kGone, "Deleted",
          "does not exist any more, but the list or the status still names it: the operator has not followed",
          "look whether the operator runs"};
}

PoolVerdict in_no_pool(const NoPool& none, const PodView& pod) {
  if (none.certain && is_worker(pod)) {
    const std::string leader = pod.annotation(api::kLeaderNameAnnotation);
    return {"", Verdict::kNoPool, "",
            fmt::format("is a worker of a group, and so on no list: clients reach its leader{}",
                        leader.empty() ? "" : " " + leader),
            leader.empty() ? "" : fmt::format("ask about the leader: why pod/{}", leader)};
  }
  if (none.certain) return {"", Verdict::kNoPool, "", "is in no pool, and so on no list: " + none.words, ""};
  return {"", Verdict::kUnknown, "", "may be in a pool or not: " + none.words, ""};
}

void add_pool_facts(const WhyFacts& all, WhyReport& out) {
  for (const PoolFacts& facts : all.pools) {
    std::string text = fmt::format("{}: {} of {} serving", facts.pool.name, facts.pool.serving,
                                   plural(facts.pool.replicas, "pod"));
    if (facts.pool.draining > 0) text += fmt::format(", {} draining", facts.pool.draining);
    if (facts.list.value)
      text += fmt::format("; list in ConfigMap {}, revision {}", facts.pool.config_map,
                          facts.list.value->revision);
    out.facts.emplace_back("Pool", std::move(text));
    if (!facts.list.problem.empty()) out.unread.push_back(facts.list.problem);
  }
  if (all.pools.size() > 1)
    out.facts.emplace_back("Overlap",
                           "several pools select this pod, and each publishes it: give each pool "
                           "pods of its own");
}

void add_pod_facts(const WhyFacts& all, WhyReport& out) {
  const PodView& pod = *all.pod;
  std::string text = pod.phase.empty() ? "no phase yet" : pod.phase;
  text += pod.ready() ? ", ready" : ", not ready";
  text +=
      pod.serving().empty() ? ", not labelled" : fmt::format(", {}={}", api::kServingLabel, pod.serving());
  if (is_requested(pod))
    text +=
        fmt::format(", {}={}", api::kDrainRequestAnnotation, pod.annotation(api::kDrainRequestAnnotation));
  out.facts.emplace_back("Pod", std::move(text));
  if (all.set.value) {
    const SetView& set = *all.set.value;
    text = fmt::format("{} wants {} of the {} it has", set.name, set.replicas,
                       plural(set.status_replicas, "pod"));
    if (set.too_many() > 0) text += fmt::format(": {} too many", set.too_many());
    out.facts.emplace_back(set.kind, std::move(text));
  } else if (const api::OwnerReference* owner = pod.controller(); owner != nullptr) {
    out.facts.emplace_back("Owner", fmt::format("{} {}", owner->kind, owner->name));
  }
  if (pod.node.empty()) return;
  text = pod.node;
  if (all.node.is_absent()) text += ", which is gone";
  if (all.node.value) {
    const NodeView& node = *all.node.value;
    if (node.unschedulable) text += ", cordoned";
    if (node.ready != api::Tristate::kTrue) text += ", not ready";
    if (!node.taints.empty()) text += fmt::format(", taints {}", fmt::join(node.taints, ", "));
  }
  out.facts.emplace_back("Node", std::move(text));
}

void add_terminating_hold(const PodView& pod, api::Timestamp now, WhyReport& out) {
  if (*pod.ends > now)
    out.holds.push_back(fmt::format("its grace period: it has {} to finish, until {}",
                                    in_words(since(now, *pod.ends)), api::to_rfc3339(*pod.ends)));
  if (!pod.finalizers.empty()) {
    out.holds.push_back(fmt::format("finalizers: {}", fmt::join(pod.finalizers, ", ")));
    out.let_go.push_back("whoever set the finalizers takes them off when done");
  }
  if (out.holds.empty())
    out.holds.push_back(
        fmt::format("nothing but the kubelet of node {}, which must say that its containers "
                    "have ended",
                    pod.node.empty() ? "-" : pod.node));
}

std::string gate_hold(const GateView& gate, const std::string& serving) {
  if (!gate.difference.empty())
    return fmt::format(
        "the drain gate, perhaps: it was edited ({}); kubectl apply -k manifests/gate puts it back",
        gate.difference);
  return fmt::format("the drain gate: its controller may not delete it while it is labelled {}={}",
                     api::kServingLabel, serving);
}

void add_holds(const WhyFacts& all, api::Timestamp now, WhyReport& out) {
  const PodView& pod = *all.pod;
  if (pod.ends) return add_terminating_hold(pod, now, out);
  const Hold hold = hold_of(pod, now);
  const std::string serving = pod.serving();
  const bool gated = pool::is_held(serving);
  const bool gate_stands = all.gate.value && all.gate.value->stands;
  if (gated && gate_stands) out.holds.push_back(gate_hold(*all.gate.value, serving));
  if (all.budgets.value) {
    for (const BudgetView& budget : *all.budgets.value) {
      if (budget.disruptions_allowed > 0 || !budget.selector.matches(pod.labels)) continue;
      out.holds.push_back(
          fmt::format("PodDisruptionBudget {}: it allows no eviction now, so kubectl drain "
                      "waits",
                      budget.name));
    }
  }
  if (out.holds.empty()) return;
  if (hold == Hold::kDraining || hold == Hold::kFinishing) {
    out.let_go.push_back(
        "wait: it is let go as soon as it is idle, and at the latest when the pool's "
        "spec.drain.timeoutSeconds are over");
  } else {
    out.let_go.push_back("drain it, then delete it: " + command(all, "delete"));
  }
  out.let_go.push_back(
      fmt::format("at once, with what it is doing left to its grace period: kubectl -n {} delete pod {}",
                  pod.ns, pod.name));
  if (auto problem = operator_problem(all.lease, now)) {
    if (gate_stands)
      *problem += fmt::format(
          "; without one, kubectl delete validatingadmissionpolicybinding {} takes the gate away, and "
          "kubectl delete pdb -A -l {}={} the budgets",
          api::kGateName, api::kManagedByLabel, api::kManagedByValue);
    out.let_go.push_back(std::move(*problem));
  }
}

template <class T>
void note_unread(const Lookup<T>& fact, WhyReport& out) {
  if (!fact.problem.empty()) out.unread.push_back(fact.problem);
}

Style style_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kListed:
      return Style::kGood;
    case Verdict::kDraining:
    case Verdict::kDrained:
    case Verdict::kNotYet:
    case Verdict::kTerminating:
      return Style::kWarning;
    case Verdict::kWithdrawn:
    case Verdict::kGone:
    case Verdict::kNoPool:
    case Verdict::kUnknown:
      return Style::kBad;
  }
  return Style::kPlain;
}

void add_lines(const char* heading, const std::vector<std::string>& lines, TerminalText& out) {
  if (lines.empty()) return;
  out.end_line().line(heading, Style::kHeading);
  for (const std::string& line : lines) out.line("  " + line);
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kListed:
      return "Listed";
    case Verdict::kDraining:
      return "Draining";
    case Verdict::kDrained:
      return "Drained";
    case Verdict::kWithdrawn:
      return "Withdrawn";
    case Verdict::kTerminating:
      return "Terminating";
    case Verdict::kNotYet:
      return "NotYetListed";
    case Verdict::kGone:
      return "Gone";
    case Verdict::kNoPool:
      return "NoPool";
    case Verdict::kUnknown:
      return "Unknown";
  }
  return "";
}

WhyReport why(const WhyFacts& facts, api::Timestamp now) {
  WhyReport out;
  out.ns = facts.ns;
  out.pod = facts.pod_name;
  for (const PoolFacts& each : facts.pools)
    out.verdicts.push_back(facts.pod ? judge(each, *facts.pod, facts, now) : judge_gone(each));
  if (out.verdicts.empty() && facts.pod) out.verdicts.push_back(in_no_pool(facts.no_pool, *facts.pod));
  if (out.verdicts.empty()) out.verdicts.push_back({"", Verdict::kGone, "", "does not exist", ""});
  add_pool_facts(facts, out);
  if (facts.pod) {
    add_pod_facts(facts, out);
    add_holds(facts, now, out);
  }
  const bool waits_for_operator =
      std::any_of(out.verdicts.begin(), out.verdicts.end(), [](const PoolVerdict& each) {
        return each.verdict == Verdict::kNotYet || each.verdict == Verdict::kGone ||
               (each.verdict == Verdict::kListed && !each.reason.empty());
      });
  if (auto problem = operator_problem(facts.lease, now); problem && waits_for_operator)
    out.facts.emplace_back("Operator", *problem);
  note_unread(facts.set, out);
  note_unread(facts.node, out);
  note_unread(facts.budgets, out);
  note_unread(facts.gate, out);
  note_unread(facts.events, out);
  if (facts.events.value) out.events = *facts.events.value;
  if (out.events.size() > kMaxEvents) out.events.resize(kMaxEvents);
  return out;
}

TerminalText why_text(const WhyReport& report, api::Timestamp now, Paint paint) {
  TerminalText out(paint);
  for (const PoolVerdict& each : report.verdicts) {
    const std::string pool = each.pool.empty() ? "" : fmt::format(" of pool {}", each.pool);
    out.add(fmt::format("Pod {}/{}{} ", report.ns, report.pod, pool));
    out.add(each.words, style_of(each.verdict)).line(".");
    if (!each.fix.empty()) out.line("  -> " + each.fix);
  }
  if (!report.facts.empty()) out.end_line();
  for (const auto& [name, text] : report.facts) out.line(fmt::format("{:<13}{}", name, text));
  add_lines("What holds its deletion", report.holds, out);
  add_lines("To let it go", report.let_go, out);
  if (!report.events.empty()) out.end_line().line("Events", Style::kHeading);
  for (const EventView& event : report.events) {
    out.add(fmt::format("  {:>6}  ", age(event.when, now)));
    out.add(event.reason, event.warning ? Style::kWarning : Style::kPlain).line("  " + event.note);
  }
  add_lines("Could not be read", report.unread, out);
  return out;
}

nlohmann::json why_json(const WhyReport& report) {
  using nlohmann::json;
  json verdicts = json::array();
  for (const PoolVerdict& each : report.verdicts) {
    verdicts.push_back({{"pool", each.pool.empty() ? json(nullptr) : json(each.pool)},
                        {"verdict", to_string(each.verdict)},
                        {"reason", each.reason},
                        {"text", each.words},
                        {"fix", each.fix}});
  }
  json facts = json::array();
  for (const auto& [name, text] : report.facts) facts.push_back({{"about", name}, {"text", text}});
  json events = json::array();
  for (const EventView& event : report.events) {
    events.push_back({{"reason", event.reason},
                      {"note", event.note},
                      {"type", event.warning ? "Warning" : "Normal"},
                      {"time", event.when ? json(api::to_rfc3339(*event.when)) : json(nullptr)}});
  }
  return {{"apiVersion", kReportVersion},
          {"kind", "PodReport"},
          {"namespace", report.ns},
          {"pod", report.pod},
          {"verdicts", verdicts},
          {"facts", facts},
          {"holds", report.holds},
          {"letGo", report.let_go},
          {"events", events},
          {"unread", report.unread}};
}

}  // namespace poolwarden::commands
