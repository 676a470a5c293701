#include "support/apiserver/sender.h"

#include <algorithm>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

std::string_view phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 413:
      return "Request Entity Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Entity";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Unknown";
  }
}

std::string head(int status, std::string_view content_type) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nServer: poolwarden-apiserver-standin\r\nCache-Control: no-cache, private\r\n"
      "Content-Type: {}\r\n",
      status, phrase(status), content_type);
}

}  // namespace

bool Sender::stall() {
  constexpr double kForever = 1e8;
  return pause_(fault_->seconds > 0 ? fault_->seconds : kForever);
}

// Splits and cuts. `write` gets each piece.
bool Sender::paced(std::string_view bytes, const std::function<bool(std::string_view)>& write) {
  if (is(FaultKind::kSplit)) {
    const std::size_t size = std::max<std::size_t>(1, fault_->bytes);
    while (!bytes.empty()) {
      if (!write(bytes.substr(0, size))) return false;
      bytes.remove_prefix(std::min(size, bytes.size()));
    }
    return true;
  }
  if (is(FaultKind::kCut)) {
    const std::uint64_t left =
        fault_->bytes > 0 ? fault_->bytes - std::min(sent_, fault_->bytes) : bytes.size() / 2;
    if (left < bytes.size()) {
      write(bytes.substr(0, left));
      return false;
    }
  }
  sent_ += bytes.size();
  return write(bytes);
}

bool Sender::answer(const kube::HttpResponse& response) {
  std::string text = head(response.status, response.content_type);
  if (response.date)
    text += fmt::format("Date: {:%a, %d %b %Y %H:%M:%S} GMT\r\n", fmt::gmtime(*response.date));
  if (response.retry_after) text += fmt::format("Retry-After: {}\r\n", response.retry_after->count());
  text += fmt::format("Content-Length: {}\r\n\r\n", response.body.size());
  const bool plain = !fault_;
  if (plain && response.body.size() < 16'384) return wire_.send(text + response.body);
  if (!wire_.send(text)) return false;
  if (is(FaultKind::kStall) && !stall()) return false;
  return paced(response.body, [this](std::string_view piece) { return wire_.send(piece); });
}

bool Sender::begin_stream(std::string_view content_type) {
  if (!wire_.send(head(200, content_type) + "Transfer-Encoding: chunked\r\n\r\n")) return false;
  return !is(FaultKind::kStall) || stall();
}

bool Sender::chunk(std::string_view bytes) {
  if (bytes.empty()) return true;  // an empty chunk would end the stream
  return paced(bytes, [this](std::string_view piece) {
    return wire_.send(fmt::format("{:x}\r\n{}\r\n", piece.size(), piece));
  });
}

bool Sender::end_stream() {
  return wire_.send("0\r\n\r\n");
}

}  // namespace poolwarden::apiserver
