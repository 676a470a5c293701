// get and list: selection, paging, resourceVersion semantics, and the forms an answer may take.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
#include "support/apiserver/event_view.h"
#include "support/apiserver/impl.h"
#include "support/apiserver/table.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

bool is_event_view(const ResourceInfo& type) {
  return type.group == "events.k8s.io";
}

// The field labels each type can be selected by; others are refused, as by the real server.
const std::vector<std::string>& field_labels(const ResourceInfo& type) {
  static const std::vector<std::string> kNone;
  static const std::vector<std::string> kPods{
      "spec.nodeName",           "spec.restartPolicy", "spec.schedulerName", "spec.hostNetwork",
      "spec.serviceAccountName", "status.phase",       "status.podIP",       "status.nominatedNodeName"};
  static const std::vector<std::string> kEvents{"involvedObject.kind",
                                                "involvedObject.namespace",
                                                "involvedObject.name",
                                                "involvedObject.uid",
                                                "involvedObject.apiVersion",
                                                "involvedObject.resourceVersion",
                                                "involvedObject.fieldPath",
                                                "reason",
                                                "reportingComponent",
                                                "source",
                                                "type"};
  static const std::vector<std::string> kNamespaces{"status.phase"};
  static const std::vector<std::string> kNodes{"spec.unschedulable"};
  static const std::vector<std::string> kReplicaSets{"status.replicas"};
  static const std::vector<std::string> kSecrets{"type"};
  if (type.custom) return kNone;
  if (type.plural == "pods") return kPods;
  if (type.plural == "events") return kEvents;
  if (type.plural == "namespaces") return kNamespaces;
  if (type.plural == "nodes") return kNodes;
  if (type.plural == "replicasets") return kReplicaSets;
  if (type.plural == "secrets") return kSecrets;
  return kNone;
}

std::string field_value(const Object& object, std::string_view path) {
  const json* found = find_dotted(object.body(), path);
  if (path == "source") found = find_path(object.body(), {"source", "component"});
  if (found == nullptr || found->is_null()) {
    return path == "spec.unschedulable" || path == "spec.hostNetwork" ? "false" : std::string();
  }
  return found->is_string() ? found->get<std::string>() : found->dump();
}

// events.k8s.io names the same fields differently: k8s.io/kubernetes/pkg/apis/events/v1/conversion.go.
std::string core_event_label(const std::string& path) {
  if (path.starts_with("regarding.")) return "involvedObject." + path.substr(10);
  if (path == "reportingController") return "reportingComponent";
  return path;
}

std::optional<std::uint64_t> parse_version(std::string_view text) {
  std::uint64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
  return value;
}

// Where a paged list goes on. The real token is base64 of JSON; clients must not look inside.
struct ContinueToken {
  std::uint64_t revision = 0;
  ObjectKey after;
};

std::string encode(const ContinueToken& token) {
  const std::string text = json::array({token.revision, token.after.ns, token.after.name}).dump();
  std::string out;
  for (char c : text) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::optional<ContinueToken> decode(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [rest, error] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (error != std::errc{} || rest != text.data() + i + 2) return std::nullopt;
    bytes += static_cast<char>(value);
  }
  const std::optional<json> fields = parse_json(bytes);
  if (!fields || !fields->is_array() || fields->size() != 3 || !(*fields)[0].is_number_unsigned() ||
      !(*fields)[1].is_string() || !(*fields)[2].is_string()) {
    return std::nullopt;
  }
  return ContinueToken{(*fields)[0].get<std::uint64_t>(),
                       {(*fields)[1].get<std::string>(), (*fields)[2].get<std::string>()}};
}

struct ListPlan {
  std::uint64_t revision = 0;  // the state to show
  bool exact = false;          // an older state than the present one
  std::optional<ObjectKey> after;
  std::size_t limit = 0;
};

Outcome<ListPlan> plan_list(const ParsedRequest& request, std::uint64_t current) {
  ListPlan plan{current, false, std::nullopt,
                static_cast<std::size_t>(std::max<std::int64_t>(0, request.number("limit").value_or(0)))};
  const std::string version = request.option("resourceVersion");
  const std::string match = request.option("resourceVersionMatch");
  if (const std::string token = request.option("continue"); !token.empty()) {
    if (!version.empty() && version != "0") {
      return tl::unexpected(bad_request("specifying resource version is not allowed when using continue"));
    }
    const std::optional<ContinueToken> decoded = decode(token);
    if (!decoded || decoded->revision > current) {
      return tl::unexpected(bad_request("continue key is not valid: unable to decode the token"));
    }
    plan.revision = decoded->revision;
    plan.exact = true;
    plan.after = decoded->after;
    return plan;
  }
  if (!match.empty() && version.empty()) {
    return tl::unexpected(
        bad_request("resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless "
                    "resourceVersion is provided"));
  }
  if (version.empty() || version == "0") return plan;
  const std::optional<std::uint64_t> wanted = parse_version(version);
  if (!wanted)
    return tl::unexpected(bad_request(fmt::format("resourceVersion: Invalid value: \"{}\"", version)));
  if (*wanted > current) return tl::unexpected(too_large(*wanted, current));
  // A limit without a match means exactly that version, for historical reasons.
  if (match == "Exact" || (match.empty() && plan.limit > 0)) {
    plan.revision = *wanted;
    plan.exact = true;
  }
  return plan;
}

// The objects as they were at a revision: the present ones with the later changes undone.
std::map<ObjectKey, ObjectPtr> as_of(const Shelf& shelf, std::uint64_t revision) {
  std::map<ObjectKey, ObjectPtr> objects = shelf.objects;
  for (auto change = shelf.changes.rbegin(); change != shelf.changes.rend() && change->revision > revision;
       ++change) {
    if (change->before) {
      objects[change->key] = change->before;
    } else {
      objects.erase(change->key);
    }
  }
  return objects;
}

struct Page {
  std::vector<ObjectPtr> items;
  std::optional<ObjectKey> next;  // set when there is more: the last key of this page
  std::size_t remaining = 0;
};

Page take_page(const std::map<ObjectKey, ObjectPtr>& objects, const Context& context, const ListPlan& plan,
               const Selector& labels, const std::vector<FieldTerm>& fields) {
  Page page;
  const std::string& ns = context.request.ns;
  auto entry = plan.after ? objects.upper_bound(*plan.after) : objects.lower_bound({ns, ""});
  for (; entry != objects.end(); ++entry) {
    if (!ns.empty() && entry->first.ns != ns) break;
    if (!selected(*entry->second, *context.type, labels, fields)) continue;
    if (plan.limit > 0 && page.items.size() == plan.limit) {
      ++page.remaining;
      continue;
    }
    page.items.push_back(entry->second);
    page.next = entry->first;
  }
  if (page.remaining == 0) page.next.reset();
  return page;
}

json list_metadata(const ListPlan& plan, const Page& page, bool unselective) {
  json metadata = {{"resourceVersion", std::to_string(plan.revision)}};
  if (page.next) {
    metadata["continue"] = encode({plan.revision, *page.next});
    if (unselective) metadata["remainingItemCount"] = page.remaining;
  }
  return metadata;
}

// Built from the objects' cached bytes: ten thousand pods are not turned into a document first.
std::string list_text(const ResourceInfo& type, const json& metadata, const std::vector<ObjectPtr>& items) {
  std::string out = fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{},"items":[)", type.list_kind,
                                type.api_version(), metadata.dump());
  bool first = true;
  for (const ObjectPtr& item : items) {
    if (!first) out += ',';
    first = false;
    if (type.custom) {
      out += typed_text(type, *item);
    } else if (is_event_view(type)) {
      out += events_v1_view(item->body()).dump();
    } else {
      out += item->text();
    }
  }
  return out + "]}\n";
}

}  // namespace

std::string typed_text(const ResourceInfo& type, const Object& object) {
  if (is_event_view(type)) return typed_body(type, object).dump();
  const std::string& text = object.text();
  std::string out = fmt::format(R"({{"apiVersion":"{}","kind":"{}",)", type.api_version(), type.kind);
  return out.append(text, 1, std::string::npos);
}

json typed_body(const ResourceInfo& type, const Object& object) {
  json body = is_event_view(type) ? events_v1_view(object.body()) : object.body();
  body["apiVersion"] = type.api_version();
  body["kind"] = type.kind;
  return body;
}

bool selected(const Object& object, const ResourceInfo&, const Selector& labels,
              const std::vector<FieldTerm>& fields) {
  if (!labels.empty() && !labels.matches(find_path(object.body(), {"metadata", "labels"}))) return false;
  return std::all_of(fields.begin(), fields.end(), [&object](const FieldTerm& term) {
    return (field_value(object, term.path) == term.value) == term.equal;
  });
}

Outcome<std::pair<Selector, std::vector<FieldTerm>>> selectors_of(const ParsedRequest& request,
                                                                  const ResourceInfo& type) {
  tl::expected<Selector, std::string> labels = Selector::parse(request.option("labelSelector"));
  if (!labels) return tl::unexpected(bad_request(labels.error()));
  tl::expected<std::vector<FieldTerm>, std::string> fields =
      parse_field_selector(request.option("fieldSelector"));
  if (!fields) return tl::unexpected(bad_request(fields.error()));
  for (FieldTerm& term : *fields) {
    if (term.path == "metadata.name" || term.path == "metadata.namespace") continue;
    if (is_event_view(type)) term.path = core_event_label(term.path);
    const std::vector<std::string>& known = field_labels(type);
    if (std::find(known.begin(), known.end(), term.path) == known.end()) {
      return tl::unexpected(bad_request(fmt::format("field label not supported: {}", term.path)));
    }
  }
  return std::pair{std::move(*labels), std::move(*fields)};
}

kube::HttpResponse Model::Impl::answer(const Context& context, int status, const Object& object) const {
  switch (context.form) {
    case Form::kTable:
      return json_response(status, table_of(*context.type, {&object}, context.request.option("includeObject"),
                                            context.now, TableHead::kWith)
                                       .dump());
    case Form::kPartialMetadata:
      return json_response(status, partial_metadata(object).dump());
    case Form::kObject:
      break;
  }
  return json_response(status, typed_text(*context.type, object) + "\n");
}

Outcome<kube::HttpResponse> Model::Impl::get(const Context& context) {
  const std::string version = context.request.option("resourceVersion");
  if (const auto wanted = parse_version(version); wanted && *wanted > revision) {
    return tl::unexpected(too_large(*wanted, revision));
  }
  const ObjectPtr found = find(*context.type, context.key());
  if (!found) return tl::unexpected(not_found(context.subject()));
  return answer(context, 200, *found);
}

Outcome<kube::HttpResponse> Model::Impl::list(const Context& context) {
  auto selectors = selectors_of(context.request, *context.type);
  if (!selectors) return tl::unexpected(std::move(selectors.error()));
  const auto& [labels, fields] = *selectors;
  Outcome<ListPlan> plan = plan_list(context.request, revision);
  if (!plan) return tl::unexpected(std::move(plan.error()));
  const Shelf& place = shelf(*context.type);
  const bool past = plan->exact && !place.changes.empty() && place.changes.back().revision > plan->revision;
  if (plan->exact && (plan->revision < compacted || plan->revision < place.dropped)) {
    if (plan->after) {
      return tl::unexpected(expired(
          "The provided continue parameter is too old to display a consistent list result. You can start a "
          "new list without the continue parameter, or use the continue token in this response to retrieve "
          "the remainder of the results. Continuing with the provided token results in an inconsistent "
          "list - objects that were created, modified, or deleted between the time the first chunk was "
          "returned and now may show up in the list."));
    }
    return tl::unexpected(expired("The resourceVersion for the provided list is too old."));
  }
  Page page = past ? take_page(as_of(place, plan->revision), context, *plan, labels, fields)
                   : take_page(place.objects, context, *plan, labels, fields);
  const json metadata = list_metadata(*plan, page, labels.empty() && fields.empty());
  if (context.form == Form::kObject)
    return json_response(200, list_text(*context.type, metadata, page.items));
  std::vector<const Object*> rows;
  for (const ObjectPtr& item : page.items) rows.push_back(item.get());
  if (context.form == Form::kTable) {
    json table =
        table_of(*context.type, rows, context.request.option("includeObject"), context.now, TableHead::kWith);
    table["metadata"] = metadata;
    return json_response(200, table.dump());
  }
  json out = {
      {"kind", "PartialObjectMetadataList"}, {"apiVersion", "meta.k8s.io/v1"}, {"metadata", metadata}};
  out["items"] = json::array();
  for (const Object* row : rows) out["items"].push_back(partial_metadata(*row));
  return json_response(200, out.dump());
}

}  // namespace poolwarden::apiserver
