#include "support/cluster/deployment_controller.h"

#include "support/apiserver/json_util.h"
#include "support/cluster/deployment_sets.h"
#include "support/cluster/deployment_status.h"
#include "support/cluster/pod_facts.h"
#include "support/cluster/rollout.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::bool_at;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;

constexpr std::int64_t kDefaultHistoryLimit = 10;

std::int64_t replicas_of(const ObjectPtr& set) {
  return int_at(set->body(), {"spec", "replicas"}, 1);
}

// One Deployment's pass. A pass that changed the sets goes no further than the status: what follows is
// decided in the next one, on what is then there.
class DeploymentPass {
 public:
  DeploymentPass(Model& model, Timestamp now, const json& deployment)
      : model_(model),
        now_(now),
        deployment_(deployment),
        writer_(model, now, kDeploymentUser),
        limits_(rollout_limits(deployment)),
        sets_(sets_of(model, deployment, writer_)) {}

  void run() {
    if (!is_deleting(deployment_)) reconcile();
    write_status();
  }

  std::optional<Timestamp> next_deadline() const { return next_deadline_; }

 private:
  void reconcile() {
    if (sync_revision()) return;
    if (bool_at(deployment_, {"spec", "paused"}) || is_scaling_event()) {
      scale();
      return;
    }
    if (text_at(deployment_, {"spec", "strategy", "type"}) == "Recreate") {
      recreate();
    } else {
      roll();
    }
  }

  // The set of the present template has the highest revision, and the Deployment shows it.
  bool sync_revision() {
    if (!sets_.new_set) return false;
    const std::int64_t newest = sets_.max_old_revision() + 1;
    const std::int64_t revision = std::max(newest, revision_of(sets_.new_set->body()));
    if (set_revision(kReplicaSets, sets_.new_set->body(), revision, writer_)) return true;
    set_revision(kube::kDeployments, deployment_, revision, writer_);
    return false;
  }

  // Somebody changed the Deployment's replicas since its sets were last scaled.
  bool is_scaling_event() const {
    const auto sets = sets_.all();
    return std::any_of(sets.begin(), sets.end(), [this](const ObjectPtr& set) {
      const std::string desired = annotation(set->body(), kDesiredAnnotation);
      return replicas_of(set) > 0 && !desired.empty() && desired != std::to_string(limits_.replicas);
    });
  }

  bool scale_to(const ObjectPtr& set, std::int64_t replicas) {
    return scale_set(set->body(), replicas, limits_, writer_);
  }

  // The new set if every pod it should have is available: then the old ones go at once.
  bool is_saturated() const {
    return sets_.new_set && replicas_of(sets_.new_set) == limits_.replicas &&
           int_at(sets_.new_set->body(), {"status", "availableReplicas"}) == limits_.replicas;
  }

  void scale() {
    std::vector<ObjectPtr> active = sets_.all();
    std::erase_if(active, [](const ObjectPtr& set) { return replicas_of(set) == 0; });
    if (active.size() <= 1) {
      const ObjectPtr only = !active.empty()          ? active.front()
                             : sets_.new_set          ? sets_.new_set
                             : sets_.old_sets.empty() ? nullptr
                                                      : sets_.old_sets.back();
      if (only) scale_to(only, limits_.replicas);
      return;
    }
    if (is_saturated()) {
      scale_to(sets_.new_set, limits_.replicas);
      for (const ObjectPtr& set : sets_.old_sets) {
        if (replicas_of(set) > 0) scale_to(set, 0);
      }
      return;
    }
    if (text_at(deployment_, {"spec", "strategy", "type"}) != "Recreate")
      scale_proportionally(std::move(active));
  }

  void scale_proportionally(std::vector<ObjectPtr> active) {
    std::int64_t total = 0;
    for (const ObjectPtr& set : active) total += replicas_of(set);
    const bool growing = limits_.replicas + limits_.surge > total;
    if (growing) std::reverse(active.begin(), active.end());  // newest first
    std::stable_sort(active.begin(), active.end(),
                     [](const ObjectPtr& a, const ObjectPtr& b) { return replicas_of(a) > replicas_of(b); });
    std::vector<SetSize> sizes;
    for (const ObjectPtr& set : active) sizes.push_back(size_of(set->body()));
    const auto wanted = proportional_sizes(limits_, sizes, int_at(deployment_, {"status", "replicas"}));
    for (std::size_t i = 0; i < active.size(); ++i) scale_to(active[i], wanted[i]);
  }

  bool create(std::int64_t replicas) {
    return create_new_set(deployment_, sets_.max_old_revision() + 1, replicas, writer_);
  }

  void roll() {
    const std::vector<SetSize> old_sizes = sets_.old_sizes();
    const SetSize new_size = sets_.new_set ? size_of(sets_.new_set->body()) : SetSize{};
    const std::int64_t wanted = new_set_size(limits_, new_size, old_sizes);
    if (!sets_.new_set) {
      create(wanted);
      return;
    }
    if (wanted != new_size.replicas) {
      scale_to(sets_.new_set, wanted);
      return;
    }
    const auto old_wanted = old_set_sizes(limits_, new_size, old_sizes);
    for (std::size_t i = 0; i < old_wanted.size(); ++i) {
      if (old_wanted[i] != old_sizes[i].replicas) scale_to(sets_.old_sets[i], old_wanted[i]);
    }
  }

  // Every pod of the old templates must be gone, not only on its way, before one of the new is made.
  void recreate() {
    bool scaled = false;
    for (const ObjectPtr& set : sets_.old_sets) {
      if (replicas_of(set) > 0) scaled = scale_to(set, 0) || scaled;
    }
    if (scaled || old_pods_run()) return;
    if (!sets_.new_set) {
      create(limits_.replicas);
    } else if (replicas_of(sets_.new_set) != limits_.replicas) {
      scale_to(sets_.new_set, limits_.replicas);
    }
  }

  bool old_pods_run() const {
    if (sets_.old_sets.empty()) return false;
    const auto pods = model_.list(kube::kPods, text_at(deployment_, {"metadata", "namespace"}));
    return std::any_of(pods.begin(), pods.end(), [this](const ObjectPtr& pod) {
      const std::string phase = text_at(pod->body(), {"status", "phase"});
      if (phase == "Succeeded" || phase == "Failed") return false;
      const std::string owner = controller_uid(pod->body());
      return std::any_of(sets_.old_sets.begin(), sets_.old_sets.end(), [&](const ObjectPtr& set) {
        return text_at(set->body(), {"metadata", "uid"}) == owner;
      });
    });
  }

  // Empty old sets beyond revisionHistoryLimit, oldest revision first.
  void clean_up() {
    std::vector<ObjectPtr> idle = sets_.old_sets;
    std::erase_if(idle, [](const ObjectPtr& set) {
      return replicas_of(set) != 0 || int_at(set->body(), {"status", "replicas"}) != 0;
    });
    std::stable_sort(idle.begin(), idle.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
      return revision_of(a->body()) < revision_of(b->body());
    });
    const auto limit =
        static_cast<std::size_t>(int_at(deployment_, {"spec", "revisionHistoryLimit"}, kDefaultHistoryLimit));
    for (std::size_t i = 0; i + limit < idle.size(); ++i) writer_.remove(kReplicaSets, idle[i]->body());
  }

  void write_status() {
    const ObjectPtr current = model_.find(kube::kDeployments, text_at(deployment_, {"metadata", "namespace"}),
                                          text_at(deployment_, {"metadata", "name"}));
    if (!current) return;
    const DeploymentStatus status = deployment_status(current->body(), sets_, now_);
    next_deadline_ = status.deadline;
    json now_there = current->body().value("status", json::object());
    json merged = now_there;
    merged.update(status.value);
    if (merged != now_there)
      writer_.patch(kube::kDeployments, deployment_, {{"status", status.value}}, "status");
    if (status.complete && !is_deleting(deployment_)) clean_up();
  }

  Model& model_;
  Timestamp now_;
  const json& deployment_;
  Writer writer_;
  RolloutLimits limits_;
  DeploymentSets sets_;
  std::optional<Timestamp> next_deadline_;
};

}  // namespace

void DeploymentController::step(Model& model, Timestamp now) {
  next_deadline_.reset();
  for (const ObjectPtr& deployment : model.list(kube::kDeployments)) {
    DeploymentPass pass(model, now, deployment->body());
    pass.run();
    if (const auto at = pass.next_deadline()) {
      next_deadline_ = next_deadline_ ? std::min(*next_deadline_, *at) : *at;
    }
  }
}

}  // namespace poolwarden::cluster
