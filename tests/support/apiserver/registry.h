// Which resources are served: the built-in ones and those that CustomResourceDefinitions add.
#pragma once

#include "support/apiserver/failure.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace poolwarden::apiserver {

struct PrinterColumn {
  std::string name;
  std::string type;
  std::string format;
  std::string description;
  std::string json_path;
  int priority = 0;
};

struct ScalePaths {
  std::string spec_replicas;
  std::string status_replicas;
  std::string label_selector;
};

// One resource at one version. Immutable; a changed CRD makes a new one.
struct ResourceInfo {
  std::string group;
  std::string version;
  std::string plural;
  std::string singular;
  std::string kind;
  std::string list_kind;
  std::vector<std::string> short_names;
  std::vector<std::string> categories;
  bool namespaced = true;
  bool has_status = false;      // the status subresource
  bool has_generation = false;  // metadata.generation counts changes of the spec
  std::optional<ScalePaths> scale;
  bool custom = false;
  nlohmann::json schema;  // openAPIV3Schema of a custom resource
  std::vector<PrinterColumn> columns;

  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  // Where its objects are kept: events are one resource served by two groups.
  std::string storage() const { return plural == "events" ? "events" : group + "/" + plural; }
  Subject subject(std::string_view name) const { return {group, plural, kind, name}; }
};

using ResourcePtr = std::shared_ptr<const ResourceInfo>;

class Registry {
 public:
  Registry();

  ResourcePtr find(std::string_view group, std::string_view version, std::string_view plural) const;
  // By kind, for what objects say of themselves.
  ResourcePtr find_kind(std::string_view api_version, std::string_view kind) const;
  const std::vector<ResourcePtr>& all() const { return resources_; }

  // The problems of the definition, if any. Replaces what an earlier version of it defined.
  std::vector<FieldProblem> define(const nlohmann::json& crd);
  void undefine(const nlohmann::json& crd);

 private:
  void add(ResourceInfo info);
  void remove(std::string_view group, std::string_view plural);
  std::vector<ResourcePtr> resources_;
  std::map<std::string, ResourcePtr, std::less<>> by_path_;  // group/version/plural
};

}  // namespace poolwarden::apiserver
