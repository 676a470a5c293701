// How the stand-in controllers and kubelets write to the API server: as requests of their own user, so that
// they are validated, versioned and refused like anybody's.
//
// Holds a reference to the model for one step; make a new one for each. A refused write is told to the caller
// as false and is no error here: the controllers are level-triggered and come back.
#pragma once

#include "kube/resource.h"
#include "kube/transport.h"
#include "support/apiserver/model.h"

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::cluster {

using api::Timestamp;
using apiserver::Model;
using apiserver::ObjectPtr;

inline constexpr kube::ResourceType kReplicaSets{"apps", "v1", "replicasets", "ReplicaSet"};

// The users of a kubeadm cluster, where the controller manager runs with --use-service-account-credentials.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles
inline constexpr std::string_view kDeploymentUser = "system:serviceaccount:kube-system:deployment-controller";
inline constexpr std::string_view kReplicaSetUser = "system:serviceaccount:kube-system:replicaset-controller";
inline constexpr std::string_view kStatefulSetUser =
    "system:serviceaccount:kube-system:statefulset-controller";
inline constexpr std::string_view kSchedulerUser = "system:kube-scheduler";

class Writer {
 public:
  Writer(Model& model, Timestamp now, std::string_view user) : model_(model), now_(now), user_(user) {}

  bool create(const kube::ResourceType& type, const nlohmann::json& object);
  // JSON merge patch of the object, or of its subresource.
  bool patch(const kube::ResourceType& type, const nlohmann::json& object, const nlohmann::json& change,
             std::string_view subresource = {});
  // Only if it is still this very object (by uid). No grace: what the object itself asks for.
  bool remove(const kube::ResourceType& type, const nlohmann::json& object,
              std::optional<int> grace_seconds = std::nullopt);
  bool post(const std::string& target, const nlohmann::json& body);

 private:
  bool send(kube::HttpMethod method, std::string target, const nlohmann::json& body,
            std::string_view content_type);

  Model& model_;
  Timestamp now_;
  std::string user_;
};

}  // namespace poolwarden::cluster
