// The two forms in which the API server writes what it answers, and how one of them is asked for.
//
// Built-in kinds have both; custom resources have JSON only. What is asked for is a wish. The answer may come
// from a server that knows no protobuf, or from a proxy. Its Content-Type says what it is, and that alone
// chooses the reader.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace poolwarden::kube {

enum class Encoding : std::uint8_t { kJson, kProtobuf };

// The value of an Accept header: `preferred` first, and JSON in any case. The same for objects, lists and
// watches, as client-go does it (k8s.io/client-go, rest/request.go).
std::string_view accept_header(Encoding preferred);
// By the media type; its parameters (";stream=watch", ";charset=utf-8") do not matter, nor does case.
// Anything but Kubernetes' protobuf is read as JSON, which then says what is wrong with it.
Encoding encoding_of(std::string_view content_type);

// An answer as it came.
struct Body {
  std::string text;
  Encoding encoding = Encoding::kJson;
};

}  // namespace poolwarden::kube
