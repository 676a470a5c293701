#include "support/apiserver/managed_fields.h"

#include "support/apiserver/field_tree.h"
#include "support/apiserver/json_util.h"

#include <map>

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

json entries_of(const json* object) {
  const json* entries = object != nullptr ? find_path(*object, {"metadata", "managedFields"}) : nullptr;
  return entries != nullptr && entries->is_array() ? *entries : json::array();
}

json* find_entry(json& entries, const Writer& writer, std::string_view operation) {
  for (json& entry : entries) {
    if (text_at(entry, {"manager"}) == writer.manager && text_at(entry, {"operation"}) == operation &&
        text_at(entry, {"subresource"}) == writer.subresource) {
      return &entry;
    }
  }
  return nullptr;
}

json& entry_for(json& entries, const ResourceInfo& type, const Writer& writer, std::string_view operation) {
  if (json* found = find_entry(entries, writer, operation)) return *found;
  json entry = {{"manager", writer.manager},
                {"operation", operation},
                {"apiVersion", type.api_version()},
                {"fieldsType", "FieldsV1"},
                {"fieldsV1", json::object()}};
  if (!writer.subresource.empty()) entry["subresource"] = writer.subresource;
  entries.push_back(std::move(entry));
  return entries.back();
}

void drop_empty(json& entries) {
  json kept = json::array();
  for (json& entry : entries) {
    if (!entry["fieldsV1"].empty()) kept.push_back(std::move(entry));
  }
  entries = std::move(kept);
}

void store_entries(json& object, json entries) {
  drop_empty(entries);
  if (entries.empty()) {
    object["metadata"].erase("managedFields");
  } else {
    object["metadata"]["managedFields"] = std::move(entries);
  }
}

bool skips_status(const ResourceInfo& type, const Writer& writer) {
  return type.has_status && writer.subresource != "status";
}

struct ConflictFinder {
  std::vector<std::string> paths;
  json tree = json::object();  // the conflicting leaves

  // Leaves that both trees name and whose value would change.
  json walk(const json& applied, const json& other, const json& config, const json& live,
            const TypeView& view, const std::string& path) {
    json found = json::object();
    for (const auto& [key, below] : applied.items()) {
      const auto theirs = other.find(key);
      if (theirs == other.end() || key == ".") continue;
      const json* wanted = child_value(config, key, view);
      const json* have = child_value(live, key, view);
      if (wanted == nullptr || have == nullptr || *wanted == *have) continue;
      const std::string here =
          path + (key.starts_with("f:") ? "." + key.substr(2) : "[" + key.substr(2) + "]");
      if (below.empty() || theirs->empty()) {
        paths.push_back(here);
        found[key] = json::object();
      } else if (json deeper = walk(below, *theirs, *wanted, *have, child_view(key, view), here);
                 !deeper.empty()) {
        found[key] = std::move(deeper);
      }
    }
    return found;
  }
};

json merged(const json& live, const json& config, const TypeView& view) {
  if (config.is_object() && live.is_object() && !view.atomic_map()) {
    json out = live;
    for (const auto& [key, value] : config.items()) {
      const auto found = out.find(key);
      if (found == out.end()) {
        out[key] = value;
      } else {
        *found = merged(*found, value, view.field(key));
      }
    }
    return out;
  }
  const ListShape shape = view.list();
  if (!config.is_array() || !live.is_array() || shape.kind == ListShape::Kind::kAtomic) return config;
  json out = live;
  for (const json& item : config) {
    json* found = nullptr;
    for (json& have : out) {
      const bool same =
          shape.kind == ListShape::Kind::kSet ? have == item : item_key(have, shape) == item_key(item, shape);
      if (same) found = &have;
    }
    if (found == nullptr) {
      out.push_back(item);
    } else {
      *found = merged(*found, item, view.item());
    }
  }
  return out;
}

struct Dispute {
  std::string with;  // conflict with "kubectl" with subresource "scale" using apps/v1
  std::vector<std::string> paths;
};

// k8s.io/apimachinery/pkg/util/managedfields/internal/conflict.go.
Failure conflicts_with(const Subject& subject, const std::vector<Dispute>& disputes) {
  std::size_t count = 0;
  std::string text;
  json causes = json::array();
  for (const Dispute& dispute : disputes) {
    count += dispute.paths.size();
    if (!text.empty()) text += "\n";
    if (dispute.paths.size() == 1) {
      text += fmt::format("{}: {}", dispute.with, dispute.paths.front());
    } else {
      text += dispute.with + ":";
      for (const std::string& path : dispute.paths) text += "\n- " + path;
    }
    for (const std::string& path : dispute.paths) {
      causes.push_back({{"reason", "FieldManagerConflict"}, {"message", dispute.with}, {"field", path}});
    }
  }
  Failure failure{409, "Conflict",
                  fmt::format("Apply failed with {} conflict{}: {}", count, count == 1 ? "" : "s", text)};
  failure.details = {{"causes", std::move(causes)}};
  if (!subject.name.empty()) failure.details["name"] = subject.name;
  return failure;
}

std::string describe(const json& entry) {
  std::string text = fmt::format("conflict with \"{}\"", text_at(entry, {"manager"}));
  if (const std::string sub = text_at(entry, {"subresource"}); !sub.empty()) {
    text += fmt::format(" with subresource \"{}\"", sub);
  }
  return text + fmt::format(" using {}", text_at(entry, {"apiVersion"}));
}

// Takes what is disputed from the others if forced, else says what is disputed.
std::vector<Dispute> settle(json& entries, const json* mine, const json& applied, const json& config,
                            const json& live, const TypeView& view, bool force) {
  std::vector<Dispute> disputes;
  for (json& entry : entries) {
    if (&entry == mine) continue;
    ConflictFinder finder;
    const json found = finder.walk(applied, entry["fieldsV1"], config, live, view, "");
    if (finder.paths.empty()) continue;
    if (force) {
      tree_subtract(entry["fieldsV1"], found);
    } else {
      disputes.push_back({describe(entry), std::move(finder.paths)});
    }
  }
  return disputes;
}

}  // namespace

void track_update(const ResourceInfo& type, const json* before, json& after, const Writer& writer) {
  const TypeView view(type);
  const bool skip_status = skips_status(type, writer);
  json entries = entries_of(before);
  std::optional<json> changed;
  if (before == nullptr) {
    changed = fields_of(after, view, skip_status);
  } else {
    changed = changed_fields(*before, after, view, skip_status);
  }
  for (json& entry : entries) {
    if (changed) tree_subtract(entry["fieldsV1"], *changed);
    tree_restrict(entry["fieldsV1"], after, view);
  }
  if (changed && !changed->empty()) {
    json& mine = entry_for(entries, type, writer, "Update");
    mine["fieldsV1"] = tree_union(std::move(mine["fieldsV1"]), *changed);
    mine["time"] = api::to_rfc3339(writer.now);
  }
  store_entries(after, std::move(entries));
}

Outcome<json> server_side_apply(const ResourceInfo& type, const json* live, const json& config,
                                const Writer& writer, bool force, const Subject& subject) {
  const TypeView view(type);
  const json applied = fields_of(config, view, skips_status(type, writer));
  json entries = entries_of(live);
  json* mine = find_entry(entries, writer, "Apply");
  const json previous = mine != nullptr ? (*mine)["fieldsV1"] : json::object();
  json out = live != nullptr ? merged(*live, config, view) : config;
  if (live != nullptr) {
    std::vector<Dispute> disputes = settle(entries, mine, applied, config, *live, view, force);
    if (!disputes.empty()) return tl::unexpected(conflicts_with(subject, disputes));
    // What this manager applied before and does not any more goes, unless someone else owns it too.
    json dropped = previous;
    tree_subtract(dropped, applied);
    for (const json& entry : entries) {
      if (&entry != mine) tree_subtract(dropped, entry["fieldsV1"]);
    }
    remove_fields(out, dropped, view);
  }
  object_at(out, "metadata")["managedFields"] = json();
  const bool unchanged = live != nullptr && previous == applied && [&] {
    json same = out;
    json had = *live;
    same["metadata"].erase("managedFields");
    had["metadata"].erase("managedFields");
    return same == had;
  }();
  json& entry = entry_for(entries, type, writer, "Apply");
  entry["fieldsV1"] = applied;
  if (!unchanged) entry["time"] = api::to_rfc3339(writer.now);
  store_entries(out, std::move(entries));
  return out;
}

}  // namespace poolwarden::apiserver
