// The bodies of informer.h's longer functions; included by it alone.
#pragma once

#include "kube/informer.h"

#include <algorithm>
#include <tuple>

namespace poolwarden::kube {

// The reflector needs versions and errors, not objects.
template <ObjectCodec Codec>
ReflectorInput Informer<Codec>::summary(const Input& input) {
  ReflectorInput out;
  out.attempt = input.attempt;
  if (const auto* list = std::get_if<typename Input::ListArrived>(&input.what)) {
    const auto& page = list->page;
    out.what = ReflectorInput::PageListed{page.resource_version, page.continue_token,
                                          page.items.size() + page.unreadable.count, page.bytes};
  } else if (const auto* failed = std::get_if<typename Input::ListFailed>(&input.what)) {
    out.what = ReflectorInput::ListFailed{failed->error};
  } else if (std::holds_alternative<typename Input::WatchOpened>(input.what)) {
    out.what = ReflectorInput::WatchOpened{};
  } else if (const auto* watch = std::get_if<typename Input::WatchArrived>(&input.what)) {
    ReflectorInput::WatchData data;
    for (auto event = watch->events.rbegin(); event != watch->events.rend() && data.resource_version.empty();
         ++event) {
      data.resource_version = event->resource_version;
    }
    out.what = std::move(data);
  } else {
    out.what = ReflectorInput::WatchEnded{std::get<typename Input::WatchEnded>(input.what).error};
  }
  return out;
}

template <ObjectCodec Codec>
std::vector<ReflectorAction> Informer<Codec>::step(Input input, TimePoint now, Deltas& deltas) {
  if (!reflector_.awaits(input.attempt)) return {};
  const auto* failed = std::get_if<typename Input::ListFailed>(&input.what);
  const bool from_server = failed != nullptr
                               ? failed->error.http_status != 0
                               : !std::holds_alternative<typename Input::WatchEnded>(input.what);
  if (from_server) last_byte_ = std::max(last_byte_, input.decoded_at);

  ReflectorStep step = reflector_.step(summary(input), now);
  switch (step.cache) {
    case CacheEffect::kNone:
      break;
    case CacheEffect::kDropStage:
      drop_stage();
      break;
    case CacheEffect::kStage:
      stage(std::move(std::get<typename Input::ListArrived>(input.what).page));
      break;
    case CacheEffect::kSwapIn:
    case CacheEffect::kSwapInRewound:
      stage(std::move(std::get<typename Input::ListArrived>(input.what).page));
      swap_in(step.cache == CacheEffect::kSwapInRewound, input.decoded_at, deltas);
      fresh_at_ = std::max(fresh_at_, input.decoded_at);
      break;
    case CacheEffect::kApply:
      apply(std::get<typename Input::WatchArrived>(std::move(input.what)), input.decoded_at, deltas);
      break;
  }
  return std::move(step.actions);
}

template <ObjectCodec Codec>
void Informer<Codec>::apply(typename Input::WatchArrived arrived, TimePoint decoded_at, Deltas& deltas) {
  note(arrived.unreadable);
  // Of an ERROR event, and of a part of a longer one, nothing arrives.
  if (!arrived.events.empty() || !arrived.unreadable.empty()) fresh_at_ = std::max(fresh_at_, decoded_at);
  for (auto& event : arrived.events) apply(std::move(event), decoded_at, deltas);
}

template <ObjectCodec Codec>
void Informer<Codec>::note(const Unreadable& unreadable) {
  unreadable_.count += unreadable.count;
  if (!unreadable.empty()) unreadable_.problem = unreadable.problem;
}

template <ObjectCodec Codec>
void Informer<Codec>::stage(ListPage<Object> page) {
  note(page.unreadable);
  staged_unreadable_.add(std::move(page.unreadable));
  for (Object& item : page.items) {
    Ptr held = store_.find(item.ns, item.name);
    const bool unchanged = held != nullptr && held->uid == item.uid && !item.resource_version.empty() &&
                           held->resource_version == item.resource_version;
    staged_.push_back(unchanged ? std::move(held) : keep(std::move(item)));
  }
}

template <ObjectCodec Codec>
void Informer<Codec>::swap_in(bool rewound, TimePoint decoded_at, Deltas& deltas) {
  std::vector<Ptr> staged = std::move(staged_);
  const Unreadable unreadable = std::move(staged_unreadable_);
  drop_stage();
  const auto by_key = [](const Ptr& a, const Ptr& b) {
    return std::tie(a->ns, a->name) < std::tie(b->ns, b->name);
  };
  std::stable_sort(staged.begin(), staged.end(), by_key);

  std::vector<Ptr> gone;
  store_.for_each([&](const Ptr& held) {
    if (std::binary_search(staged.begin(), staged.end(), held, by_key)) return;
    if (!unreadable.empty() && unreadable.may_be({std::string(held->ns), std::string(held->name)})) return;
    // Our own write's answer was newer than the list: the watch that starts at the list will tell.
    if (!rewound && older(reflector_.resource_version(), held->resource_version)) return;
    gone.push_back(held);
  });
  if (rewound) tombstones_.clear();
  for (const Ptr& held : gone) remove(held, decoded_at, deltas);
  const VersionCheck check = rewound ? VersionCheck::kAlways : VersionCheck::kUnlessOlder;
  for (Ptr& object : staged) put(std::move(object), check, decoded_at, deltas);
  synced_ = true;
}

template <ObjectCodec Codec>
void Informer<Codec>::apply(WatchEvent<Object> event, TimePoint decoded_at, Deltas& deltas) {
  switch (event.type) {
    case WatchEventType::kBookmark:
      return;
    case WatchEventType::kAdded:
    case WatchEventType::kModified:
      put(keep(std::move(event.object)), VersionCheck::kUnlessOlder, decoded_at, deltas);
      return;
    case WatchEventType::kDeleted: {
      const Ptr held = store_.find(event.object.ns, event.object.name);
      // A namesake that is newer has been observed already: this is the end of the one before.
      if (held != nullptr && held->uid == event.object.uid) {
        remove(held, decoded_at, deltas);
      } else {
        tombstones_.add(event.object.uid);
      }
      return;
    }
  }
}

template <ObjectCodec Codec>
void Informer<Codec>::observe(Object object, TimePoint now, Deltas& deltas) {
  if (!synced_ || tombstones_.has(object.uid)) return;
  const Ptr held = store_.find(object.ns, object.name);
  // The watch has told everything up to its version. What is not here by then has gone.
  const bool known = held != nullptr && held->uid == object.uid;
  if (!known && compare_versions(object.resource_version, reflector_.resource_version()) <= 0) return;
  put(keep(std::move(object)), VersionCheck::kUnlessOlder, now, deltas);
}

template <ObjectCodec Codec>
void Informer<Codec>::put(Ptr object, VersionCheck check, TimePoint at, Deltas& deltas) {
  const Ptr held = store_.find(object->ns, object->name);
  if (held == object) return;
  if (held != nullptr && check == VersionCheck::kUnlessOlder &&
      older(object->resource_version, held->resource_version)) {
    return;
  }
  if (held != nullptr && held->uid == object->uid) {
    if (object->resource_version == held->resource_version && !object->resource_version.empty()) return;
    store_.put(object);
    deltas.push_back({DeltaKind::kModified, held, std::move(object), at});
    return;
  }
  if (held != nullptr) remove(held, at, deltas);
  store_.put(object);
  deltas.push_back({DeltaKind::kAdded, nullptr, std::move(object), at});
}

template <ObjectCodec Codec>
void Informer<Codec>::remove(const Ptr& object, TimePoint at, Deltas& deltas) {
  tombstones_.add(object->uid);
  store_.erase(object->ns, object->name);
  deltas.push_back({DeltaKind::kDeleted, object, nullptr, at});
}

}  // namespace poolwarden::kube
