// A page of a list.
#include "api/codecs.h"
#include "fuzz.h"
#include "kube/watch_decoder.h"

namespace poolwarden {
namespace {

template <class Codec>
void decode(std::string_view body) {
  const auto page = kube::decode_list<Codec>(body);
  if (!page) {
    fuzz::expect(!page.error().message.empty(), "an error says what is wrong");
    return;
  }
  fuzz::expect(!page->resource_version.empty(), "a page has a resourceVersion");
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
  decode<api::PoolCodec>(body);
  decode<api::ServiceCodec>(body);
  decode<api::ConfigMapCodec>(body);
  decode<api::DeploymentCodec>(body);
  decode<api::NodeCodec>(body);
  return 0;
}
