#include "telemetry/http_message.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <fmt/format.h>

namespace poolwarden::telemetry {
namespace {

namespace http = boost::beast::http;

std::string policy_lines(const std::string& policy) {
  if (policy.empty()) return {};
  return fmt::format(
      "Content-Security-Policy: {}\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n",
      policy);
}

}  // namespace

bool HttpRequest::has(std::string_view parameter) const {
  std::string_view left = query;
  while (!left.empty()) {
    const std::string_view one = left.substr(0, left.find('&'));
    if (one.substr(0, one.find('=')) == parameter) return true;
    left.remove_prefix(one.size() == left.size() ? one.size() : one.size() + 1);
  }
  return false;
}

tl::expected<HttpRequest, HttpAnswer> parse_request(std::string_view head) {
  http::request_parser<http::empty_body> parser;
  parser.skip(true);  // the body, however long the header says it is
  boost::system::error_code error;
  parser.put(boost::asio::buffer(head.data(), head.size()), error);
  if (error || !parser.is_header_done()) {
    return tl::unexpected(HttpAnswer{.status = 400, .body = "this is not a request in HTTP/1.1\n"});
  }
  const http::verb method = parser.get().method();
  if (method != http::verb::get && method != http::verb::head) {
    return tl::unexpected(HttpAnswer{.status = 405, .body = "only GET and HEAD are answered here\n"});
  }
  HttpRequest request;
  request.path = std::string(parser.get().target());
  request.is_head = method == http::verb::head;
  if (const std::size_t mark = request.path.find('?'); mark != std::string::npos) {
    request.query = request.path.substr(mark + 1);
    request.path.resize(mark);
  }
  return request;
}

std::string to_text(const HttpAnswer& answer, bool with_body) {
  const auto reason = http::obsolete_reason(http::int_to_status(answer.status));
  std::string text = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "Connection: close\r\n{}{}\r\n",
      answer.status, std::string_view(reason.data(), reason.size()), answer.type, answer.body.size(),
      policy_lines(answer.policy), answer.status == 405 ? "Allow: GET, HEAD\r\n" : "");
  if (with_body) text += answer.body;
  return text;
}

}  // namespace poolwarden::telemetry
