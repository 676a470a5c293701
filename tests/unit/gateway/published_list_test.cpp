#include "gateway/published_list.h"

#include "haproxy_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using testing::HasSubstr;

api::ConfigMap config_map(const std::string& json) {
  api::ConfigMap map;
  map.ns = "default";
  map.name = "vllm-endpoints";
  map.endpoints_json = json;
  return map;
}

TEST(ReadList, ReadsWhatIsPublished) {
  const api::EndpointSet set =
      list_of(7, {endpoint("a", "10.0.0.1"), endpoint("b", "fd00::1", {8000, 8001})});
  const auto list = read_list(config_map(api::to_canonical_json(set)), "vllm");
  ASSERT_TRUE(list) << list.error();
  EXPECT_EQ(*list, set);
}

TEST(ReadList, AnEmptyListIsAList) {
  const auto list = read_list(config_map(api::to_canonical_json(list_of(8, {}))), "vllm");
  ASSERT_TRUE(list) << list.error();
  EXPECT_TRUE(list->endpoints.empty());
}

TEST(ReadList, SaysWhatIsWrong) {
  EXPECT_THAT(read_list(config_map(""), "vllm").error(),
              HasSubstr("ConfigMap default/vllm-endpoints has no data key endpoints.json"));
  EXPECT_THAT(read_list(config_map("{"), "vllm").error(), HasSubstr("endpoints.json cannot be read: "));
  EXPECT_THAT(read_list(config_map("[]"), "vllm").error(), HasSubstr("cannot be read: "));
  EXPECT_THAT(read_list(config_map(api::to_canonical_json(list_of(1, {}))), "llama").error(),
              HasSubstr("is the list of pool 'vllm', not of 'llama'"));
}

}  // namespace
}  // namespace poolwarden::gateway
