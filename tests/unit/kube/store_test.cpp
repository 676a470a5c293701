#include "kube/store.h"

#include "kube/resource_version.h"
#include "kube/tombstones.h"
#include "thing.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Ptr = std::shared_ptr<const Thing>;

Ptr stored_thing(std::string ns, std::string name, std::string color = "red", std::string version = "1") {
  const std::string uid = name + "-uid";
  return std::make_shared<const Thing>(
      Thing{std::move(ns), std::move(name), uid, std::move(version), std::move(color)});
}

std::vector<std::string> names(const std::vector<Ptr>& objects) {
  std::vector<std::string> out;
  for (const Ptr& object : objects) out.push_back(object->ns + "/" + object->name);
  return out;
}

std::vector<Ptr> all(const Store<Thing>& store) {
  std::vector<Ptr> out;
  store.for_each([&](const Ptr& object) { out.push_back(object); });
  return out;
}

void by_color(const Thing& object, std::vector<std::string>& keys) {
  if (!object.color.empty()) keys.push_back(object.color);
}

TEST(Store, FindsWhatWasPut) {
  Store<Thing> store;
  const Ptr a = stored_thing("x", "a");
  EXPECT_EQ(store.put(a), nullptr);
  EXPECT_EQ(store.find({"x", "a"}), a);
  EXPECT_EQ(store.find("x", "b"), nullptr);
  EXPECT_EQ(store.find("", "a"), nullptr);
  EXPECT_EQ(store.size(), 1U);
}

TEST(Store, PutReplacesAndGivesWhatWasBefore) {
  Store<Thing> store;
  const Ptr a = stored_thing("x", "a");
  const Ptr newer = stored_thing("x", "a", "blue");
  store.put(a);
  EXPECT_EQ(store.put(newer), a);
  EXPECT_EQ(store.find("x", "a"), newer);
  EXPECT_EQ(store.size(), 1U);
  EXPECT_EQ(store.erase("x", "a"), newer);
  EXPECT_EQ(store.erase("x", "a"), nullptr);
  EXPECT_TRUE(store.empty());
}

TEST(Store, WalksInTheOrderOfKeysWhateverTheOrderOfArrival) {
  Store<Thing> store;
  for (const auto& [ns, name] : {std::pair{"y", "a"}, {"x", "b"}, {"", "node"}, {"x", "a"}, {"xx", "0"}}) {
    store.put(stored_thing(ns, name));
  }
  EXPECT_THAT(names(all(store)), ElementsAre("/node", "x/a", "x/b", "xx/0", "y/a"));
  std::vector<Ptr> in_x;
  store.for_each_in("x", [&](const Ptr& object) { in_x.push_back(object); });
  EXPECT_THAT(names(in_x), ElementsAre("x/a", "x/b"));
}

class StoreIndexes : public testing::TestWithParam<IndexedBy> {};

INSTANTIATE_TEST_SUITE_P(Of, StoreIndexes, testing::Values(IndexedBy::kObject, IndexedBy::kMore),
                         [](const auto& at) { return at.param == IndexedBy::kMore ? "More" : "Object"; });

TEST_P(StoreIndexes, FollowPutReplaceAndErase) {
  Store<Thing> store;
  store.put(stored_thing("x", "b"));
  const IndexId index = store.add_index(by_color, GetParam());
  store.put(stored_thing("x", "c", "blue"));
  store.put(stored_thing("x", "a"));
  EXPECT_THAT(names(store.by_index(index, "red")), ElementsAre("x/a", "x/b"));
  EXPECT_THAT(names(store.by_index(index, "blue")), ElementsAre("x/c"));
  EXPECT_THAT(store.by_index(index, "green"), IsEmpty());

  store.put(stored_thing("x", "b", "blue"));
  EXPECT_THAT(names(store.by_index(index, "red")), ElementsAre("x/a"));
  EXPECT_THAT(names(store.by_index(index, "blue")), ElementsAre("x/b", "x/c"));
  store.put(stored_thing("x", "b", ""));
  store.erase("x", "c");
  EXPECT_THAT(store.by_index(index, "blue"), IsEmpty());
}

TEST_P(StoreIndexes, HoldTheNewObjectAndNotTheReplacedOne) {
  Store<Thing> store;
  const IndexId index = store.add_index(by_color, GetParam());
  store.put(stored_thing("x", "a", "red", "1"));
  const Ptr newer = stored_thing("x", "a", "red", "2");
  store.put(newer);
  EXPECT_THAT(store.by_index(index, "red"), ElementsAre(newer));
}

TEST_P(StoreIndexes, HaveObjectsWithSeveralKeysAndTheSameTwice) {
  Store<Thing> store;
  const IndexId index = store.add_index(
      [](const Thing& object, std::vector<std::string>& keys) {
        keys.insert(keys.end(), {object.color, "all", object.color});
      },
      GetParam());
  store.put(stored_thing("x", "a"));
  store.put(stored_thing("x", "b", "blue"));
  EXPECT_THAT(names(store.by_index(index, "all")), ElementsAre("x/a", "x/b"));
  EXPECT_THAT(names(store.by_index(index, "red")), ElementsAre("x/a"));
  store.erase("x", "a");
  EXPECT_THAT(names(store.by_index(index, "all")), ElementsAre("x/b"));
  EXPECT_THAT(store.by_index(index, "red"), IsEmpty());
}

TEST(StoreIndex, ReindexTakesUpAChangeOutside) {
  Store<Thing> store;
  std::string wanted = "red";
  const IndexId index = store.add_index([&](const Thing& object, std::vector<std::string>& keys) {
    if (object.color == wanted) keys.push_back("wanted");
  });
  const IndexId other = store.add_index(by_color);
  store.put(stored_thing("x", "a", "red"));
  store.put(stored_thing("x", "b", "blue"));
  EXPECT_THAT(names(store.by_index(index, "wanted")), ElementsAre("x/a"));

  wanted = "blue";
  store.erase("x", "a");  // its key is not what the function would say now
  EXPECT_THAT(store.by_index(index, "wanted"), IsEmpty());
  store.reindex(index);
  EXPECT_THAT(names(store.by_index(index, "wanted")), ElementsAre("x/b"));
  EXPECT_THAT(names(store.by_index(other, "blue")), ElementsAre("x/b"));
}

TEST(StoreIndex, ReindexOfANamespace_LeavesTheOthers) {
  Store<Thing> store;
  std::string wanted = "red";
  const IndexId index = store.add_index([&](const Thing& object, std::vector<std::string>& keys) {
    keys.push_back(object.color == wanted ? "wanted" : "other");
  });
  for (const char* ns : {"w", "x", "y"}) {
    for (const char* name : {"a", "b", "c"}) store.put(stored_thing(ns, name, *name == 'b' ? "blue" : "red"));
  }
  wanted = "blue";
  store.reindex_in(index, "x");
  EXPECT_THAT(names(store.by_index(index, "wanted")), ElementsAre("w/a", "w/c", "x/b", "y/a", "y/c"));
  EXPECT_THAT(names(store.by_index(index, "other")), ElementsAre("w/b", "x/a", "x/c", "y/b"));
  store.reindex_in(index, "nowhere");
  store.erase("x", "b");
  EXPECT_THAT(names(store.by_index(index, "wanted")), ElementsAre("w/a", "w/c", "y/a", "y/c"));
}

TEST_P(StoreIndexes, NameTheKeysThatBeginSo) {
  Store<Thing> store;
  const IndexId index = store.add_index(by_color, GetParam());
  for (const char* color : {"red", "reddish", "ready", "blue", "s"})
    store.put(stored_thing("x", color, color));
  store.erase("x", "ready");
  std::vector<std::string> keys;
  store.for_each_key(index, "red", [&](const std::string& key) { keys.push_back(key); });
  EXPECT_THAT(keys, ElementsAre("red", "reddish"));
}

struct VersionRow {
  const char* situation;
  std::string a;
  std::string b;
  std::partial_ordering order;
};

TEST(ResourceVersion, Compares) {
  using po = std::partial_ordering;
  const VersionRow rows[] = {
      {"equal", "7", "7", po::equivalent},
      {"same length", "8", "7", po::greater},
      {"longer is newer", "10", "9", po::greater},
      {"shorter is older", "999", "1000", po::less},
      {"beyond 64 bits", "99999999999999999999998", "99999999999999999999999", po::less},
      {"text is not ordered", "abc", "7", po::unordered},
      {"equal text is", "abc", "abc", po::equivalent},
      {"a sign is text", "-1", "2", po::unordered},
      {"a leading zero is text", "07", "8", po::unordered},
      {"empty is not ordered", "", "7", po::unordered},
  };
  for (const VersionRow& row : rows) {
    SCOPED_TRACE(row.situation);
    EXPECT_TRUE(compare_versions(row.a, row.b) == row.order);
    EXPECT_EQ(older(row.a, row.b), row.order == po::less);
    EXPECT_EQ(older(row.b, row.a), row.order == po::greater);
  }
}

TEST(Tombstones, RemembersTheLastOnesOnly) {
  Tombstones tombstones(3);
  for (const char* uid : {"a", "b", "b", "c", "d", "e"}) tombstones.add(uid);
  EXPECT_EQ(tombstones.size(), 3U);
  EXPECT_FALSE(tombstones.has("a"));
  EXPECT_FALSE(tombstones.has("b"));
  EXPECT_TRUE(tombstones.has("c") && tombstones.has("d") && tombstones.has("e"));
}

}  // namespace
}  // namespace poolwarden::kube
