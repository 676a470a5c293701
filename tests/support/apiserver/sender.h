// Writes one answer, well or as badly as a fault asks.
#pragma once

#include "kube/transport.h"
#include "support/apiserver/faults.h"
#include "support/apiserver/wire.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::apiserver {

class Sender {
 public:
  // `pause` waits that many seconds; it is false once the server stops.
  Sender(Wire& wire, std::optional<FaultRule> fault, std::function<bool(double)> pause)
      : wire_(wire), fault_(std::move(fault)), pause_(std::move(pause)) {}

  // Each is false when the connection cannot be used any more.
  bool answer(const kube::HttpResponse& response);
  bool begin_stream(std::string_view content_type);
  bool chunk(std::string_view bytes);
  bool end_stream();

 private:
  bool is(FaultKind kind) const { return fault_ && fault_->kind == kind; }
  bool stall();
  bool paced(std::string_view bytes, const std::function<bool(std::string_view)>& write);

  Wire& wire_;
  std::optional<FaultRule> fault_;
  std::function<bool(double)> pause_;
  std::uint64_t sent_ = 0;  // bytes of body
};

}  // namespace poolwarden::apiserver
