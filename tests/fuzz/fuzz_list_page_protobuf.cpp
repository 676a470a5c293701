// A page of a list, in protobuf.
#include "api/codecs.h"
#include "fuzz.h"
#include "kube/watch_decoder.h"

namespace poolwarden {
namespace {

template <class Codec>
void decode(std::string_view body) {
  const auto page = kube::decode_list<Codec>(body, kube::Encoding::kProtobuf);
  if (!page) {
    fuzz::expect(!page.error().message.empty(), "an error says what is wrong");
    return;
  }
  fuzz::expect(!page->resource_version.empty(), "a page has a resourceVersion");
  fuzz::expect(page->items.size() + page->unreadable.count <= body.size(), "an item takes bytes");
  fuzz::expect(page->unreadable.keys.size() <= kube::Unreadable::kMaxKeys, "what is noted is bounded");
  for (const auto& item : page->items) {
    fuzz::expect(!item.name.empty() && !item.uid.empty(), "an item has a name and a uid");
  }
}

}  // namespace
}  // namespace poolwarden

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  const std::string_view body = fuzz::as_text(data, size);
  decode<api::PodCodec>(body);
  decode<api::ServiceCodec>(body);
  decode<api::ConfigMapCodec>(body);
  decode<api::DeploymentCodec>(body);
  decode<api::ReplicaSetCodec>(body);
  decode<api::DisruptionBudgetCodec>(body);
  decode<api::AutoscalerCodec>(body);
  decode<api::NodeCodec>(body);
  return 0;
}
