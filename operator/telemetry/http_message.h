// What an HttpServer reads and writes, apart from any socket. Pure; may be called from any thread.
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace poolwarden::telemetry {

// A GET or a HEAD. Of its header nothing is kept, because nothing is asked of it.
struct HttpRequest {
  std::string path;      // as it was sent, to the "?"
  std::string query;     // what comes after that
  bool is_head = false;  // the answer goes without its body

  // Whether the query has such a parameter, with a value or without: "verbose", "a=1&verbose=true".
  bool has(std::string_view parameter) const;
};

struct HttpAnswer {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  // Of a page for a browser: the Content-Security-Policy that it is to keep. Empty: it is no page.
  std::string policy = {};
};

// Reads a whole head, its last empty line included. The error is the answer to what is no such request.
tl::expected<HttpRequest, HttpAnswer> parse_request(std::string_view head);

// The answer as it is sent, by a server that closes the connection after it.
std::string to_text(const HttpAnswer& answer, bool with_body);

}  // namespace poolwarden::telemetry
