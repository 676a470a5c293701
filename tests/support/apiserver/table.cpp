#include "support/apiserver/table.h"

#include "support/apiserver/json_path.h"
#include "support/apiserver/json_util.h"
#include "support/apiserver/selector.h"

#include <functional>
#include <optional>

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

using api::Timestamp;
using Cells = std::function<json(const json& body, Timestamp now)>;

struct Column {
  std::string name;
  std::string type;
  int priority = 0;
};

struct Printer {
  std::vector<Column> columns;
  Cells cells;
};

std::string age_of(const std::string& since, Timestamp now) {
  const auto time = api::parse_rfc3339(since);
  if (!time) return "<unknown>";
  return human_duration(std::chrono::duration_cast<std::chrono::seconds>(now - *time));
}

std::string age(const json& body, Timestamp now) {
  return age_of(text_at(body, {"metadata", "creationTimestamp"}), now);
}

std::string or_none(const std::string& text) {
  return text.empty() ? "<none>" : text;
}

std::string joined(const json* list, std::string_view key) {
  std::string out;
  if (list == nullptr || !list->is_array()) return out;
  for (const json& item : *list) out += (out.empty() ? "" : ",") + text_at(item, {key});
  return out;
}

std::string selector_text(const json& body, std::initializer_list<std::string_view> path) {
  const json* selector = find_path(body, path);
  if (selector == nullptr) return "<none>";
  return or_none(Selector::from_object(*selector).to_string());
}

// k8s.io/kubernetes/pkg/printers/internalversion/printers.go: printPod.
std::string pod_status(const json& body) {
  std::string reason = text_at(body, {"status", "phase"});
  if (const std::string given = text_at(body, {"status", "reason"}); !given.empty()) reason = given;
  if (const json* statuses = find_path(body, {"status", "containerStatuses"});
      statuses != nullptr && statuses->is_array()) {
    for (const json& status : *statuses) {
      for (const char* state : {"waiting", "terminated"}) {
        if (const std::string why = text_at(status, {"state", state, "reason"}); !why.empty()) reason = why;
      }
    }
  }
  if (find_path(body, {"metadata", "deletionTimestamp"}) != nullptr) {
    const bool done =
        text_at(body, {"status", "phase"}) == "Succeeded" || text_at(body, {"status", "phase"}) == "Failed";
    if (text_at(body, {"status", "reason"}) == "NodeLost") return "Unknown";
    if (!done) return "Terminating";
  }
  return reason;
}

json pod_cells(const json& body, Timestamp now) {
  std::int64_t ready = 0;
  std::int64_t restarts = 0;
  const json* containers = find_path(body, {"spec", "containers"});
  if (const json* statuses = find_path(body, {"status", "containerStatuses"});
      statuses != nullptr && statuses->is_array()) {
    for (const json& status : *statuses) {
      if (bool_at(status, {"ready"})) ++ready;
      restarts += int_at(status, {"restartCount"});
    }
  }
  const std::size_t gates = [&body] {
    const json* list = find_path(body, {"spec", "readinessGates"});
    return list != nullptr && list->is_array() ? list->size() : std::size_t{0};
  }();
  return {text_at(body, {"metadata", "name"}),
          fmt::format("{}/{}", ready, containers != nullptr ? containers->size() : 0),
          pod_status(body),
          std::to_string(restarts),
          age(body, now),
          or_none(text_at(body, {"status", "podIP"})),
          or_none(text_at(body, {"spec", "nodeName"})),
          or_none(text_at(body, {"status", "nominatedNodeName"})),
          gates == 0 ? "<none>" : fmt::format("0/{}", gates)};
}

json deployment_cells(const json& body, Timestamp now) {
  const json* containers = find_path(body, {"spec", "template", "spec", "containers"});
  return {text_at(body, {"metadata", "name"}),
          fmt::format("{}/{}", int_at(body, {"status", "readyReplicas"}), int_at(body, {"spec", "replicas"})),
          int_at(body, {"status", "updatedReplicas"}),
          int_at(body, {"status", "availableReplicas"}),
          age(body, now),
          joined(containers, "name"),
          joined(containers, "image"),
          selector_text(body, {"spec", "selector"})};
}

json replica_set_cells(const json& body, Timestamp now) {
  const json* containers = find_path(body, {"spec", "template", "spec", "containers"});
  return {text_at(body, {"metadata", "name"}),
          int_at(body, {"spec", "replicas"}),
          int_at(body, {"status", "replicas"}),
          int_at(body, {"status", "readyReplicas"}),
          age(body, now),
          joined(containers, "name"),
          joined(containers, "image"),
          selector_text(body, {"spec", "selector"})};
}

json stateful_set_cells(const json& body, Timestamp now) {
  const json* containers = find_path(body, {"spec", "template", "spec", "containers"});
  return {text_at(body, {"metadata", "name"}),
          fmt::format("{}/{}", int_at(body, {"status", "readyReplicas"}), int_at(body, {"spec", "replicas"})),
          age(body, now), joined(containers, "name"), joined(containers, "image")};
}

json service_cells(const json& body, Timestamp now) {
  std::string ports;
  if (const json* list = find_path(body, {"spec", "ports"}); list != nullptr && list->is_array()) {
    for (const json& port : *list) {
      ports += fmt::format("{}{}/{}", ports.empty() ? "" : ",", int_at(port, {"port"}),
                           text_at(port, {"protocol"}));
    }
  }
  std::string selector;
  if (const json* map = find_path(body, {"spec", "selector"}); map != nullptr && map->is_object()) {
    for (const auto& [key, value] : map->items()) {
      selector += fmt::format("{}{}={}", selector.empty() ? "" : ",", key,
                              value.is_string() ? value.get<std::string>() : "");
    }
  }
  return {text_at(body, {"metadata", "name"}),
          text_at(body, {"spec", "type"}),
          or_none(text_at(body, {"spec", "clusterIP"})),
          "<none>",
          or_none(ports),
          age(body, now),
          or_none(selector)};
}

json node_cells(const json& body, Timestamp now) {
  std::string status = "Unknown";
  if (const json* list = find_path(body, {"status", "conditions"}); list != nullptr && list->is_array()) {
    for (const json& condition : *list) {
      if (text_at(condition, {"type"}) == "Ready")
        status = text_at(condition, {"status"}) == "True" ? "Ready" : "NotReady";
    }
  }
  if (bool_at(body, {"spec", "unschedulable"})) status += ",SchedulingDisabled";
  return {text_at(body, {"metadata", "name"}), status, "<none>", age(body, now),
          text_at(body, {"status", "nodeInfo", "kubeletVersion"})};
}

json event_cells(const json& body, Timestamp now) {
  std::string seen = text_at(body, {"lastTimestamp"});
  if (seen.empty()) seen = text_at(body, {"series", "lastObservedTime"});
  if (seen.empty()) seen = text_at(body, {"eventTime"});
  std::string kind = text_at(body, {"involvedObject", "kind"});
  for (char& c : kind) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string message = text_at(body, {"message"});
  while (!message.empty() && message.back() == '\n') message.pop_back();
  return {age_of(seen, now), text_at(body, {"type"}), text_at(body, {"reason"}),
          kind + "/" + text_at(body, {"involvedObject", "name"}), message};
}

std::size_t size_at(const json& body, std::string_view key) {
  const json* map = find_path(body, {key});
  return map != nullptr && map->is_object() ? map->size() : 0;
}

std::vector<Column> names(std::initializer_list<Column> columns) {
  return columns;
}

// Those with columns that only -o wide shows.
std::optional<Printer> wide_printer(const std::string& p) {
  if (p == "pods") {
    return Printer{names({{"Name", "string"},
                          {"Ready", "string"},
                          {"Status", "string"},
                          {"Restarts", "string"},
                          {"Age", "string"},
                          {"IP", "string", 1},
                          {"Node", "string", 1},
                          {"Nominated Node", "string", 1},
                          {"Readiness Gates", "string", 1}}),
                   pod_cells};
  }
  if (p == "deployments") {
    return Printer{names({{"Name", "string"},
                          {"Ready", "string"},
                          {"Up-to-date", "integer"},
                          {"Available", "integer"},
                          {"Age", "string"},
                          {"Containers", "string", 1},
                          {"Images", "string", 1},
                          {"Selector", "string", 1}}),
                   deployment_cells};
  }
  if (p == "replicasets") {
    return Printer{names({{"Name", "string"},
                          {"Desired", "integer"},
                          {"Current", "integer"},
                          {"Ready", "integer"},
                          {"Age", "string"},
                          {"Containers", "string", 1},
                          {"Images", "string", 1},
                          {"Selector", "string", 1}}),
                   replica_set_cells};
  }
  if (p == "statefulsets") {
    return Printer{names({{"Name", "string"},
                          {"Ready", "string"},
                          {"Age", "string"},
                          {"Containers", "string", 1},
                          {"Images", "string", 1}}),
                   stateful_set_cells};
  }
  if (p == "services") {
    return Printer{names({{"Name", "string"},
                          {"Type", "string"},
                          {"Cluster-IP", "string"},
                          {"External-IP", "string"},
                          {"Port(s)", "string"},
                          {"Age", "string"},
                          {"Selector", "string", 1}}),
                   service_cells};
  }
  return std::nullopt;
}

Printer printer_of(const ResourceInfo& type) {
  const std::string& p = type.plural;
  if (std::optional<Printer> wide = wide_printer(p)) return std::move(*wide);
  if (p == "nodes") {
    return {names({{"Name", "string"},
                   {"Status", "string"},
                   {"Roles", "string"},
                   {"Age", "string"},
                   {"Version", "string"}}),
            node_cells};
  }
  if (p == "events") {
    return {names({{"Last Seen", "string"},
                   {"Type", "string"},
                   {"Reason", "string"},
                   {"Object", "string"},
                   {"Message", "string"}}),
            event_cells};
  }
  if (p == "configmaps") {
    return {names({{"Name", "string"}, {"Data", "integer"}, {"Age", "string"}}),
            [](const json& body, Timestamp now) {
              return json{text_at(body, {"metadata", "name"}),
                          size_at(body, "data") + size_at(body, "binaryData"), age(body, now)};
            }};
  }
  if (p == "leases") {
    return {names({{"Name", "string"}, {"Holder", "string"}, {"Age", "string"}}),
            [](const json& body, Timestamp now) {
              return json{text_at(body, {"metadata", "name"}), text_at(body, {"spec", "holderIdentity"}),
                          age(body, now)};
            }};
  }
  if (p == "namespaces") {
    return {names({{"Name", "string"}, {"Status", "string"}, {"Age", "string"}}),
            [](const json& body, Timestamp now) {
              return json{text_at(body, {"metadata", "name"}), text_at(body, {"status", "phase"}),
                          age(body, now)};
            }};
  }
  if (p == "customresourcedefinitions") {
    return {
        names({{"Name", "string"}, {"Created At", "date"}}), [](const json& body, Timestamp) {
          return json{text_at(body, {"metadata", "name"}), text_at(body, {"metadata", "creationTimestamp"})};
        }};
  }
  return {names({{"Name", "string"}, {"Age", "string"}}), [](const json& body, Timestamp now) {
            return json{text_at(body, {"metadata", "name"}), age(body, now)};
          }};
}

// k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor.
json custom_cell(const PrinterColumn& column, const json& body, Timestamp now) {
  const std::vector<const json*> found = json_path(body, column.json_path);
  if (found.empty() || found.front()->is_null()) return nullptr;
  const json& value = *found.front();
  if (column.type == "date")
    return value.is_string() ? json(age_of(value.get<std::string>(), now)) : json("<invalid>");
  if (column.type == "string") {
    std::string text;
    for (const json* one : found)
      text += (text.empty() ? "" : ",") + (one->is_string() ? one->get<std::string>() : one->dump());
    return text;
  }
  return value;
}

Printer custom_printer(const ResourceInfo& type) {
  Printer printer;
  printer.columns.push_back({"Name", "string", 0});
  for (const PrinterColumn& column : type.columns)
    printer.columns.push_back({column.name, column.type, column.priority});
  printer.cells = [&type](const json& body, Timestamp now) {
    json cells = json::array({text_at(body, {"metadata", "name"})});
    for (const PrinterColumn& column : type.columns) cells.push_back(custom_cell(column, body, now));
    return cells;
  };
  return printer;
}

}  // namespace

std::string human_duration(std::chrono::seconds age) {
  const std::int64_t seconds = age.count();
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return fmt::format("{}s", seconds);
  const std::int64_t minutes = seconds / 60;
  if (minutes < 10)
    return seconds % 60 == 0 ? fmt::format("{}m", minutes) : fmt::format("{}m{}s", minutes, seconds % 60);
  if (minutes < 180) return fmt::format("{}m", minutes);
  const std::int64_t hours = minutes / 60;
  if (hours < 8)
    return minutes % 60 == 0 ? fmt::format("{}h", hours) : fmt::format("{}h{}m", hours, minutes % 60);
  if (hours < 48) return fmt::format("{}h", hours);
  const std::int64_t days = hours / 24;
  if (days < 8) return hours % 24 == 0 ? fmt::format("{}d", days) : fmt::format("{}d{}h", days, hours % 24);
  if (days < 365 * 2) return fmt::format("{}d", days);
  return fmt::format("{}y{}d", days / 365, days % 365);
}

json partial_metadata(const Object& object) {
  return {{"kind", "PartialObjectMetadata"},
          {"apiVersion", "meta.k8s.io/v1"},
          {"metadata", object.body()["metadata"]}};
}

json table_of(const ResourceInfo& type, const std::vector<const Object*>& rows,
              std::string_view include_object, Timestamp now, TableHead head) {
  const Printer printer = type.custom ? custom_printer(type) : printer_of(type);
  json table = {{"kind", "Table"}, {"apiVersion", "meta.k8s.io/v1"}, {"metadata", json::object()}};
  table["columnDefinitions"] = json::array();
  if (head == TableHead::kWith) {
    for (const Column& column : printer.columns) {
      table["columnDefinitions"].push_back({{"name", column.name},
                                            {"type", column.type},
                                            {"format", column.name == "Name" ? "name" : ""},
                                            {"description", column.name},
                                            {"priority", column.priority}});
    }
  }
  table["rows"] = json::array();
  for (const Object* object : rows) {
    json row = {{"cells", printer.cells(object->body(), now)}};
    if (include_object == "Object") {
      row["object"] = object->body();
      row["object"]["apiVersion"] = type.api_version();
      row["object"]["kind"] = type.kind;
    } else if (include_object != "None") {
      row["object"] = partial_metadata(*object);
    }
    table["rows"].push_back(std::move(row));
  }
  if (rows.size() == 1) table["metadata"]["resourceVersion"] = std::to_string(rows.front()->revision());
  return table;
}

}  // namespace poolwarden::apiserver
