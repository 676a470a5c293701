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

// A list of three ConfigMaps, one endpoint on each, and what a reader makes of them.
class ShardedList : public testing::Test {
 protected:
  using Pods = std::vector<std::string>;

  static api::ConfigMap shard(std::int32_t number, std::int64_t revision, const Pods& pods) {
    api::EndpointSet set = list_of(revision, {});
    for (const std::string& pod : pods)
      set.endpoints.push_back(endpoint(pod, "10.0.0." + std::to_string(pod.front())));
    set.shard = number;
    set.shards = number == 1 ? 3 : 1;
    api::ConfigMap map = config_map(api::to_canonical_json(set));
    map.name = api::shard_name(map.name, number);
    return map;
  }
  // The pods of the list that follows; "none" where none does, "bad" where something is wrong.
  Pods saw(const api::ConfigMap& map) {
    const auto list = reader.saw(map);
    if (!list) return {"bad"};
    if (!*list) return {"none"};
    Pods pods;
    for (const api::Endpoint& one : (*list)->endpoints) pods.push_back(one.pod);
    return pods;
  }
  void see_all() {
    saw(shard(3, 3, {"c"}));
    saw(shard(1, 4, {"a"}));
    ASSERT_EQ(saw(shard(2, 5, {"b"})), (Pods{"a", "b", "c"}));
  }

  PublishedList reader{"vllm-endpoints", "vllm"};
};

TEST_F(ShardedList, IsToldOnceItIsWhole_InAnyOrder) {
  EXPECT_EQ(saw(shard(2, 5, {"b"})), Pods{"none"});
  EXPECT_EQ(saw(shard(1, 4, {"a"})), Pods{"none"});
  EXPECT_EQ(reader.missing(), Pods{"vllm-endpoints-3"});
  const auto whole = reader.saw(shard(3, 3, {"c"}));
  ASSERT_TRUE(whole && *whole);
  EXPECT_EQ((*whole)->revision, 5);
  EXPECT_EQ((*whole)->endpoints.size(), 3U);
  EXPECT_TRUE(reader.missing().empty());
}

TEST_F(ShardedList, AChangeOfOneShard_IsAChangeOfTheList) {
  see_all();
  EXPECT_EQ(saw(shard(2, 6, {"b", "d"})), (Pods{"a", "b", "c", "d"}));
  EXPECT_EQ(saw(shard(3, 7, {})), (Pods{"a", "b", "d"}));
}

TEST_F(ShardedList, WhoMovesIsOnTwo_AndIsThereOnce) {
  see_all();
  EXPECT_EQ(saw(shard(2, 4, {"a", "b"})), (Pods{"a", "b", "c"}));
  EXPECT_EQ(saw(shard(1, 5, {})), (Pods{"a", "b", "c"}));
}

TEST_F(ShardedList, AMissingShard_StaysAsItWasRead) {
  see_all();
  reader.gone("vllm-endpoints-2");
  EXPECT_EQ(saw(shard(1, 8, {})), (Pods{"b", "c"})) << "and who leaves another is not held up";
  EXPECT_EQ(saw(shard(2, 9, {"d"})), (Pods{"c", "d"}));
}

// Somebody wrote a revision that is far too high: what is right again has a lower one, and is believed.
TEST_F(ShardedList, ARevisionThatWasMadeUp_HoldsNobodyUp) {
  see_all();
  EXPECT_EQ(saw(shard(2, 99'999'999'999'999'999, {"b"})), (Pods{"a", "b", "c"}));
  EXPECT_EQ(saw(shard(2, 6, {"d"})), (Pods{"a", "c", "d"}));
}

TEST_F(ShardedList, AnUnreadableOrMixedUpShard_StaysAsItWasRead) {
  see_all();
  api::ConfigMap broken = shard(2, 6, {});
  broken.endpoints_json = "{";
  EXPECT_EQ(saw(broken), Pods{"bad"});
  api::ConfigMap other = shard(3, 7, {"x"});
  other.name = "vllm-endpoints-2";
  EXPECT_EQ(saw(other), Pods{"bad"});
  EXPECT_EQ(saw(shard(1, 8, {"a"})), (Pods{"a", "b", "c"}));
}

TEST_F(ShardedList, AShardThatCountsNoMore_IsLeftOut) {
  see_all();
  api::EndpointSet first = list_of(9, {endpoint("a", "10.0.0.1")});
  EXPECT_EQ(saw(config_map(api::to_canonical_json(first))), Pods{"a"});
  reader.gone("vllm-endpoints-2");
  EXPECT_EQ(saw(shard(3, 12, {"z"})), Pods{"none"});
  EXPECT_EQ(saw(shard(1, 13, {"a"})), (Pods{"a", "z"})) << "what is gone is not remembered";
}

TEST_F(ShardedList, OthersAreNoneOfIt) {
  see_all();
  for (const char* name :
       {"vllm-endpoints-02", "vllm-endpoints-", "vllm-endpoints-101", "vllm-endpointss", "x"}) {
    api::ConfigMap map = shard(2, 50, {"x"});
    map.name = name;
    EXPECT_EQ(saw(map), Pods{"none"}) << name;
  }
}

// What stands alone is believed, also when it was put back to an older state.
TEST(SingleList, AnOlderRevision_IsFollowed) {
  PublishedList reader("vllm-endpoints", "vllm");
  ASSERT_TRUE(*reader.saw(config_map(api::to_canonical_json(list_of(7, {})))));
  const auto older = reader.saw(config_map(api::to_canonical_json(list_of(5, {endpoint("a", "10.0.0.1")}))));
  ASSERT_TRUE(older && *older);
  EXPECT_EQ((*older)->revision, 5);
}

}  // namespace
}  // namespace poolwarden::gateway
