// What Kubernetes wraps around a message, for tests: the envelope of an object, lists, frames of a watch.
//
// Stateless; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::protobuf_wire {

// "k8s\0" and a runtime.Unknown.
std::string envelope(std::string_view kind, std::string_view message);

struct ListOptions {
  std::string resource_version = "100";
  std::string continue_token;
  int remaining = 0;  // 0: not said
};
// From the items' messages.
std::string list(std::string_view kind, const std::vector<std::string>& messages,
                 const ListOptions& options = {});

// A meta/v1 WatchEvent around an object in its envelope; `framed` puts its length before it.
std::string watch_event(std::string_view type, std::string_view object);
std::string framed(std::string_view bytes);

}  // namespace poolwarden::protobuf_wire
