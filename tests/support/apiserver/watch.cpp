// Watches as cursors into a resource's history.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
#include "support/apiserver/impl.h"
#include "support/apiserver/table.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

constexpr std::int64_t kDefaultTimeoutSeconds = 3'600;

std::string line(std::string_view type, const std::string& object) {
  return fmt::format(R"({{"type":"{}","object":{}}})", type, object) + "\n";
}

std::string event_line(Watch& watch, std::string_view type, const Object& object, Timestamp now) {
  switch (watch.form) {
    case Form::kTable: {
      const TableHead head = watch.headers_sent ? TableHead::kWithout : TableHead::kWith;
      watch.headers_sent = true;
      json table = table_of(*watch.type, {&object}, watch.include_object, now, head);
      table["metadata"] = {{"resourceVersion", std::to_string(object.revision())}};
      return line(type, table.dump());
    }
    case Form::kPartialMetadata:
      return line(type, partial_metadata(object).dump());
    case Form::kObject:
      break;
  }
  return line(type, typed_text(*watch.type, object));
}

std::string bookmark_line(const Watch& watch, bool initial_end) {
  json metadata = {{"resourceVersion", std::to_string(watch.position)}, {"creationTimestamp", nullptr}};
  if (initial_end) metadata["annotations"] = {{"k8s.io/initial-events-end", "true"}};
  json object = {
      {"kind", watch.type->kind}, {"apiVersion", watch.type->api_version()}, {"metadata", metadata}};
  // The real server sends an empty object of the type, with what its type does not omit.
  if (watch.type->plural == "pods") object["spec"] = {{"containers", nullptr}};
  if (watch.type->has_status && !watch.type->custom) object["status"] = json::object();
  return line("BOOKMARK", object.dump());
}

std::string error_line(const Failure& failure) {
  return line("ERROR", status_object(failure).dump());
}

// The last state a selective watch knew, with the revision of the change that took it out of sight.
ObjectPtr at_revision(const Object& object, std::uint64_t revision) {
  json body = object.body();
  body["metadata"]["resourceVersion"] = std::to_string(revision);
  return std::make_shared<const Object>(std::move(body), revision);
}

std::string change_line(Watch& watch, const Change& change, Timestamp now) {
  if (!watch.ns.empty() && change.key.ns != watch.ns) return {};
  const auto visible = [&watch](const ObjectPtr& object) {
    return object && selected(*object, *watch.type, watch.labels, watch.fields);
  };
  const bool before = visible(change.before);
  const bool after = visible(change.after);
  if (!before && !after) return {};
  if (!before) return event_line(watch, "ADDED", *change.after, now);
  if (after) return event_line(watch, "MODIFIED", *change.after, now);
  if (!change.after) return event_line(watch, "DELETED", *change.last, now);
  return event_line(watch, "DELETED", *at_revision(*change.before, change.revision), now);
}

std::deque<Change>::const_iterator first_after(const Shelf& shelf, std::uint64_t position) {
  return std::upper_bound(shelf.changes.begin(), shelf.changes.end(), position,
                          [](std::uint64_t at, const Change& change) { return at < change.revision; });
}

}  // namespace

Outcome<WatchCursor> Model::Impl::open_watch(const Context& context) const {
  const ParsedRequest& request = context.request;
  auto selectors = selectors_of(request, *context.type);
  if (!selectors) return tl::unexpected(std::move(selectors.error()));
  WatchCursor watch(new Watch);
  watch->type = context.type;
  watch->ns = request.ns;
  std::tie(watch->labels, watch->fields) = std::move(*selectors);
  if (!request.name.empty()) watch->fields.push_back({"metadata.name", request.name, true});
  watch->form = context.form;
  watch->include_object = request.option("includeObject");
  watch->bookmarks = request.flag("allowWatchBookmarks");
  watch->next_bookmark = context.now + options.bookmark_period;
  const std::int64_t timeout = request.number("timeoutSeconds").value_or(0);
  watch->ends = context.now + std::chrono::seconds(timeout > 0 ? timeout : kDefaultTimeoutSeconds);

  const std::string version = request.option("resourceVersion");
  const bool send_initial = request.flag("sendInitialEvents");
  if (send_initial && request.option("resourceVersionMatch") != "NotOlderThan") {
    return tl::unexpected(
        bad_request("sendInitialEvents: Forbidden: resourceVersionMatch=NotOlderThan is required with "
                    "sendInitialEvents"));
  }
  std::uint64_t wanted = 0;
  const auto [rest, error] = std::from_chars(version.data(), version.data() + version.size(), wanted);
  if (!version.empty() && (error != std::errc{} || rest != version.data() + version.size())) {
    return tl::unexpected(bad_request(fmt::format("resourceVersion: Invalid value: \"{}\"", version)));
  }
  if (wanted > revision) return tl::unexpected(too_large(wanted, revision));
  const Shelf* place = find_shelf(*context.type);
  if (wanted == 0 || send_initial) {
    watch->position = revision;
    watch->tell_initial_end = send_initial && watch->bookmarks;
    if (place == nullptr) return watch;
    for (const auto& [key, object] : place->objects) {
      const bool here = watch->ns.empty() || key.ns == watch->ns;
      if (here && selected(*object, *watch->type, watch->labels, watch->fields))
        watch->initial.push_back(object);
    }
    return watch;
  }
  if (wanted < compacted || (place != nullptr && wanted < place->dropped)) {
    return tl::unexpected(too_old(wanted, std::max(compacted, place != nullptr ? place->dropped : 0)));
  }
  watch->position = wanted;
  return watch;
}

WatchRead Model::Impl::read(Watch& watch, Timestamp now) const {
  WatchRead out;
  if (watch.ended) return {{}, true};
  for (const ObjectPtr& object : watch.initial) out.bytes += event_line(watch, "ADDED", *object, now);
  watch.initial.clear();
  if (watch.tell_initial_end) {
    out.bytes += bookmark_line(watch, true);
    watch.tell_initial_end = false;
  }
  if (const Shelf* place = find_shelf(*watch.type)) {
    if (watch.position < place->dropped) {
      out.bytes += error_line(too_old(watch.position, place->dropped));
      watch.ended = out.ended = true;
      return out;
    }
    for (auto change = first_after(*place, watch.position); change != place->changes.end(); ++change) {
      out.bytes += change_line(watch, *change, now);
    }
  }
  watch.position = revision;
  const bool served =
      !watch.type->custom || registry.find(watch.type->group, watch.type->version, watch.type->plural);
  watch.ended = out.ended = !served || now >= *watch.ends;
  if (watch.bookmarks && (now >= watch.next_bookmark || now >= *watch.ends)) {
    // The real server sends a last bookmark shortly before it ends a watch.
    out.bytes += bookmark_line(watch, false);
    watch.next_bookmark = now + options.bookmark_period;
  }
  return out;
}

bool Model::Impl::readable(const Watch& watch, Timestamp now) const {
  if (watch.ended || !watch.initial.empty() || watch.tell_initial_end || now >= *watch.ends) return true;
  if (watch.bookmarks && now >= watch.next_bookmark) return true;
  const Shelf* place = find_shelf(*watch.type);
  if (place != nullptr &&
      (watch.position < place->dropped || first_after(*place, watch.position) != place->changes.end())) {
    return true;
  }
  return watch.type->custom && !registry.find(watch.type->group, watch.type->version, watch.type->plural);
}

}  // namespace poolwarden::apiserver
