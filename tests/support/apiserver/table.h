// What kubectl prints: server-side tables, and objects reduced to their metadata.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
#pragma once

#include "api/time.h"
#include "support/apiserver/object.h"
#include "support/apiserver/registry.h"

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::apiserver {

enum class TableHead { kWith, kWithout };  // whether the column definitions are in it

// `include_object`: None, Metadata (also when empty) or Object: what each row carries besides its cells.
nlohmann::json table_of(const ResourceInfo& type, const std::vector<const Object*>& rows,
                        std::string_view include_object, api::Timestamp now, TableHead head);
nlohmann::json partial_metadata(const Object& object);
// "5s", "3m10s", "4d2h": k8s.io/apimachinery/pkg/util/duration.HumanDuration.
std::string human_duration(std::chrono::seconds age);

}  // namespace poolwarden::apiserver
