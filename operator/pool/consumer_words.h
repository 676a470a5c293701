// What is told of consumers of a list, in words for a person.
#pragma once

#include "pool/list_consumers.h"

#include <string>
#include <vector>

namespace poolwarden::pool {

// What a drain waits for.
std::string wait_words(const AwaitedConsumer& consumer);
// Of a drain that has ended without that.
std::string unconfirmed_words(const AwaitedConsumer& consumer);
// For the condition and the Event. `names`: one at least.
std::string silence_words(const std::vector<std::string>& names);

}  // namespace poolwarden::pool
