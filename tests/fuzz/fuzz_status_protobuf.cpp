// Any answer but success, in protobuf: two bytes of HTTP status, then the body.
#include "fuzz.h"
#include "kube/client.h"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  if (size < 2) {
    return 0;
  }
  kube::HttpResponse answer;
  answer.status = 300 + (data[0] * 256 + data[1]) % 300;
  answer.content_type = "application/vnd.kubernetes.protobuf";
  answer.body = std::string(fuzz::as_text(data + 2, size - 2));
  const kube::Call call = kube::get(kube::kPods, "ns", "pod");
  const kube::Error error = kube::to_error(call, answer);
  fuzz::expect(error.http_status == answer.status, "what came on the wire counts");
  fuzz::expect(!error.message.empty(), "an error says what is wrong");
  fuzz::expect(error.message.size() < 64 * 1024 + 4 * size, "a message is bounded by the answer");
  fuzz::expect(!error.retry_after || *error.retry_after >= std::chrono::milliseconds{0},
               "no delay is negative");
  return 0;
}
