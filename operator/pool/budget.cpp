#include "pool/budget.h"

#include "api/names.h"
#include "api/target_kind.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

constexpr std::string_view kNobody = "nobody";  // a value that our label never has

// Where nodes may not be read, or not any more, nobody sees that one is cordoned: what is held would be held
// for ever. Where somebody else's budget selects the pods too, Kubernetes would evict none of them at all.
// https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-budgets
bool holds_evictions(const Observation& seen) {
  return seen.pool().disruption.hold_evictions && seen.snapshot->sees_cordons &&
         seen.snapshot->other_budgets.empty();
}

// A pod whose label changes leaves the budget by that. Without holdEvictions it stays, and selects nobody:
// making and unmaking it would need the right to delete budgets.
api::LabelSelector wanted_selector(const Observation& seen) {
  // As requirements only: of those a patch replaces all, of matchLabels it would leave what someone added.
  api::LabelSelector out;
  const bool has_groups = api::target_kind(seen.pool()) == api::TargetKind::kLeaderWorkerSet;
  if (has_groups) {
    // Leaders and workers. Which of them are held, their label says.
    out.match_expressions.push_back(
        {.key = std::string{api::kGroupSetLabel}, .op = "In", .values = {seen.pool().scale_target->name}});
  } else {
    out.match_expressions = seen.selector->match_expressions;
    for (const auto& [key, value] : seen.selector->match_labels)
      out.match_expressions.push_back({.key = key, .op = "In", .values = {value}});
  }
  std::vector<std::string> held;
  if (holds_evictions(seen)) {
    held = {std::string{api::serving::kDraining}, std::string{api::serving::kFinishing},
            std::string{api::serving::kTrue}};
    if (has_groups) held.insert(held.begin() + 2, std::string{api::serving::kMember});
  } else {
    held = {std::string{kNobody}};
  }
  out.match_expressions.push_back(
      {.key = std::string{api::kServingLabel}, .op = "In", .values = std::move(held)});
  return out;
}

std::chrono::seconds patience_on_hold(const Observation& seen) {
  constexpr std::chrono::seconds kLeast = std::chrono::minutes(5);
  return std::max(std::min(seen.pool().drain.timeout, seen.snapshot->max_drain_timeout), kLeast);
}

api::BudgetWrite rewritten(const api::DisruptionBudget& budget, api::LabelSelector selector) {
  return {.create = false,
          .name = budget.name,
          .resource_version = budget.resource_version,
          .selector = std::move(selector)};
}

// Whom the pool selects is not known: the selector stays, but for our label.
void let_go_on_hold(const Observation& seen, Plan& plan) {
  const api::DisruptionBudget* budget = seen.snapshot->budget;
  if (budget == nullptr || budget->deleting || !is_ours(seen.pool(), *budget)) return;
  if (!lets_go_on_hold(seen)) return plan.look_again_in(patience_on_hold(seen) - seen.snapshot->on_hold_for);
  api::LabelSelector selector = budget->selector;
  for (api::SelectorRequirement& one : selector.match_expressions) {
    if (one.key == api::kServingLabel) one.values = {std::string{kNobody}};
  }
  if (selector != budget->selector) plan.budget = rewritten(*budget, std::move(selector));
}

// Nobody else writes such a number.
bool blocks_all(const api::DisruptionBudget& budget) {
  return !budget.max_unavailable && budget.min_available == std::to_string(api::kBlockAllEvictions);
}

bool says(const api::DisruptionBudget& budget, const api::LabelSelector& selector) {
  return budget.selector == selector && blocks_all(budget) &&
         budget.unhealthy_pods == api::kHoldUnhealthyPods && !budget.owners.empty();
}

}  // namespace

std::string budget_name(const api::InferencePool& pool) {
  return pool.name + "-serving";
}

bool is_ours(const api::InferencePool& pool, const api::DisruptionBudget& budget) {
  if (budget.owners.empty()) return blocks_all(budget);
  return std::any_of(budget.owners.begin(), budget.owners.end(),
                     [&](const api::OwnerReference& owner) { return owner.uid == pool.uid; });
}

bool lets_go_on_hold(const Observation& seen) {
  return seen.is_undecided() && seen.snapshot->on_hold_for >= patience_on_hold(seen);
}

void keep_budget(const Observation& seen, Plan& plan) {
  if (seen.is_undecided()) return let_go_on_hold(seen, plan);
  if (seen.hold != Hold::kNone || seen.snapshot->budget_visibility == Visibility::kUnknown) return;
  const api::DisruptionBudget* budget = seen.snapshot->budget;
  if (budget == nullptr) {
    if (!holds_evictions(seen)) return;
    plan.budget = api::BudgetWrite{.create = true,
                                   .name = budget_name(seen.pool()),
                                   .resource_version = {},
                                   .selector = wanted_selector(seen)};
    return;
  }
  if (budget->deleting || !is_ours(seen.pool(), *budget)) return;
  api::LabelSelector selector = wanted_selector(seen);
  if (says(*budget, selector)) return;
  plan.budget = rewritten(*budget, std::move(selector));
}

bool selects_pods_with(const api::DisruptionBudget& budget, const api::Labels& labels) {
  return budget.selector.matches(labels);
}

}  // namespace poolwarden::pool
