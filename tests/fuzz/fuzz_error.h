// What the fuzzers of answers other than success check, whichever of the API server's two encodings they
// read.
#pragma once

#include "fuzz.h"
#include "kube/client.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace poolwarden::fuzz {

// Two bytes of HTTP status, then the body. `most`: how long a message may be.
inline void check_error(const std::uint8_t* data, std::size_t size, std::string content_type,
                        std::size_t most) {
  if (size < 2) return;
  kube::HttpResponse answer;
  answer.status = 300 + (data[0] * 256 + data[1]) % 300;
  answer.content_type = std::move(content_type);
  answer.body = std::string(as_text(data + 2, size - 2));
  const kube::Call call = kube::get(kube::kPods, "ns", "pod");
  const kube::Error error = kube::to_error(call, answer);
  expect(error.http_status == answer.status, "what came on the wire counts");
  expect(!error.message.empty(), "an error says what is wrong");
  expect(error.message.size() < most, "a message is bounded, however long the answer");
  expect(!error.retry_after || *error.retry_after >= std::chrono::milliseconds{0}, "no delay is negative");
}

}  // namespace poolwarden::fuzz
