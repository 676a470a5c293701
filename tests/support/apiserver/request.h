// A request taken apart: which resource, which object, which verb, which options.
#pragma once

#include "kube/transport.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::apiserver {

struct ParsedRequest {
  std::string path;       // without the query, still encoded
  bool resource = false;  // under /api or /apis/<group>, with a resource; else only `path` is set
  std::string group;
  std::string version;
  std::string plural;
  std::string ns;
  std::string name;
  std::string subresource;
  std::string verb;  // get, list, watch, create, update, patch, delete, deletecollection
  std::map<std::string, std::string, std::less<>> query;

  std::string option(std::string_view key) const;
  bool flag(std::string_view key) const;  // true or 1
  std::optional<std::int64_t> number(std::string_view key) const;
};

ParsedRequest parse_request(const kube::HttpRequest& request);

// The parts of an Accept header that matter here.
enum class Form { kObject, kTable, kPartialMetadata };
Form wanted_form(std::string_view accept);

std::string percent_decode(std::string_view text, bool plus_is_space);

}  // namespace poolwarden::apiserver
