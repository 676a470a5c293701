#include "support/apiserver/impl.h"

#include <fmt/format.h>

namespace poolwarden::apiserver {

const Shelf* Model::Impl::find_shelf(const ResourceInfo& type) const {
  const auto found = shelves.find(type.storage());
  return found == shelves.end() ? nullptr : &found->second;
}

ObjectPtr Model::Impl::find(const ResourceInfo& type, const ObjectKey& key) const {
  const Shelf* place = find_shelf(type);
  if (place == nullptr) return nullptr;
  const auto found = place->objects.find(key);
  return found == place->objects.end() ? nullptr : found->second;
}

ObjectPtr Model::Impl::commit(const ResourcePtr& type, const ObjectKey& key, json body) {
  Shelf& place = shelf(*type);
  ObjectPtr& slot = place.objects[key];
  ++revision;
  body["metadata"]["resourceVersion"] = std::to_string(revision);
  auto stored = std::make_shared<const Object>(std::move(body), revision);
  by_uid[text_at(stored->body(), {"metadata", "uid"})] = {type, key};
  index_owners(slot ? &slot->body() : nullptr, &stored->body());
  place.changes.push_back({revision, key, slot, stored, nullptr});
  slot = stored;
  forget_old(place);
  if (listener) listener(type->plural);
  return stored;
}

ObjectPtr Model::Impl::erase(const ResourcePtr& type, const ObjectKey& key) {
  Shelf& place = shelf(*type);
  const auto found = place.objects.find(key);
  if (found == place.objects.end()) return nullptr;
  const ObjectPtr before = found->second;
  place.objects.erase(found);
  ++revision;
  json body = before->body();
  body["metadata"]["resourceVersion"] = std::to_string(revision);
  auto last = std::make_shared<const Object>(std::move(body), revision);
  const std::string uid = text_at(before->body(), {"metadata", "uid"});
  by_uid.erase(uid);
  index_owners(&before->body(), nullptr);
  finish_owner(uid);
  place.changes.push_back({revision, key, before, nullptr, last});
  forget_old(place);
  if (listener) listener(type->plural);
  return last;
}

void Model::Impl::forget_old(Shelf& place) const {
  while (place.changes.size() > options.history) {
    place.dropped = place.changes.front().revision;
    place.changes.pop_front();
  }
}

std::string Model::Impl::new_uid() {
  // RFC 4122 version 4, from the seed.
  const std::uint64_t high = random();
  const std::uint64_t low = random();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32U, (high >> 16U) & 0xffffU,
                     high & 0xfffU, 0x8000U | ((low >> 48U) & 0x3fffU), low & 0xffffffffffffU);
}

std::string Model::Impl::random_suffix() {
  // k8s.io/apimachinery/pkg/util/rand: no vowels, so that no words come out.
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (int i = 0; i < 5; ++i) out += kAlphabet[random() % kAlphabet.size()];
  return out;
}

}  // namespace poolwarden::apiserver
