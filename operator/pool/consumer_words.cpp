#include "pool/consumer_words.h"

#include "base/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

constexpr std::size_t kNamedConsumers = 4;
constexpr std::size_t kMostOfAName = 100;  // the Lease's writer chooses it

std::string short_name(const std::string& name) {
  return base::printable(base::abridged(name, kMostOfAName));
}

std::string name_of(const AwaitedConsumer& consumer) {
  return fmt::format("{} ({})", short_name(consumer.name), short_name(consumer.kind));
}

}  // namespace

std::string wait_words(const AwaitedConsumer& consumer) {
  return fmt::format(
      "waits for consumer {} to confirm revision {} of the list: {}", name_of(consumer), consumer.wanted,
      consumer.unreadable ? "what its Lease says in poolwarden.io/applied-revisions cannot be read"
                          : fmt::format("it holds {}", consumer.has));
}

std::string unconfirmed_words(const AwaitedConsumer& consumer) {
  return fmt::format("consumer {} had not confirmed that it sends the pod nothing", name_of(consumer));
}

std::string silence_words(const std::vector<std::string>& names) {
  std::string list;
  for (std::size_t i = 0; i < std::min(names.size(), kNamedConsumers); ++i)
    list += (i == 0 ? "" : ", ") + short_name(names[i]);
  if (names.size() > kNamedConsumers) list += fmt::format(" and {} more", names.size() - kNamedConsumers);
  return fmt::format(
      "Consumers of the list no longer renew their Lease, and drains do not wait for them: {}. "
      "One that still runs may send requests to pods that have left the list. Is it up, and may "
      "it write its Lease? Delete the Lease of one that is gone for good: kubectl get lease -l "
      "poolwarden.io/consumer",
      list);
}

}  // namespace poolwarden::pool
