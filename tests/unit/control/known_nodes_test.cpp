// What it means that a node is not in the cache.
#include "control/known_nodes.h"

#include "parts.h"

namespace poolwarden::control {
namespace {

// Knows node-1 and node-2.
struct Known : Parts {
  Known() {
    list<Pods>({});
    list<Nodes>({made_node("node-1"), made_node("node-2")});
  }

  // A pod there that was written just now, or before the nodes were last heard of.
  api::Pod on(const std::string& node, const std::string& version) const {
    api::Pod pod = made_pod("p", "vllm");
    pod.node = std::make_shared<const std::string>(node);
    pod.resource_version = version;
    return pod;
  }
  const api::Node* node_of(const api::Pod& pod) { return router.node_lookup()(pod); }
  bool is_gone(const api::Pod& pod) { return node_of(pod) == nullptr; }

  static constexpr const char* kBefore = "100";
  static constexpr const char* kLater = "900";
};

TEST(KnownNodes, ThatIsThere_IsFound) {
  Known parts;
  const api::Node* node = parts.node_of(parts.on("node-1", Known::kLater));
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(node->name, "node-1");
}

TEST(KnownNodes, NeverRead_NothingIsSaidOfAnyNode) {
  Parts parts;
  EXPECT_FALSE(parts.router.node_lookup());
  parts.forbid<Nodes>();
  EXPECT_FALSE(parts.router.node_lookup());
}

TEST(KnownNodes, AbsentFromACacheAsNewAsThePod_IsGone) {
  Known parts;
  EXPECT_TRUE(parts.is_gone(parts.on("never-seen", Known::kBefore)));
}

TEST(KnownNodes, AbsentFromACacheThatIsBehindThePod_SaysNothing) {
  Known parts;
  parts.open<Nodes>();
  const api::Node* node = parts.node_of(parts.on("new", Known::kLater));
  ASSERT_NE(node, nullptr) << "though the watch is open: what it has to tell may not be here yet";
  EXPECT_EQ(node->ready, api::Tristate::kTrue);
  EXPECT_TRUE(node->zone.empty());
}

TEST(KnownNodes, SeenToGo_IsGoneWhateverIsWrittenOnThePodAfterwards) {
  Known parts;
  parts.lose<Nodes>("node-2");
  EXPECT_TRUE(parts.is_gone(parts.on("node-2", Known::kLater)));
  parts.forbid<Nodes>();
  EXPECT_TRUE(parts.is_gone(parts.on("node-2", Known::kLater)));
}

TEST(KnownNodes, FoundToBeGone_StaysSoWhateverIsWrittenOnThePodAfterwards) {
  Known parts;
  ASSERT_TRUE(parts.is_gone(parts.on("never-seen", Known::kBefore)));
  EXPECT_TRUE(parts.is_gone(parts.on("never-seen", Known::kLater))) << "our own label made it newer";
}

TEST(KnownNodes, ComesBack_IsFound) {
  Known parts;
  parts.lose<Nodes>("node-2");
  ASSERT_TRUE(parts.is_gone(parts.on("node-2", Known::kLater)));
  parts.see<Nodes>(made_node("node-2"));
  EXPECT_FALSE(parts.is_gone(parts.on("node-2", Known::kLater)));
}

TEST(KnownNodes, NotToBeReadAnyMore_ANewNodeSaysNothing) {
  Known parts;
  parts.forbid<Nodes>();
  ASSERT_TRUE(parts.router.node_lookup()) << "what was seen last still counts";
  EXPECT_EQ(parts.node_of(parts.on("node-1", Known::kLater))->name, "node-1");
  EXPECT_FALSE(parts.is_gone(parts.on("new", Known::kLater)));
}

TEST(KnownNodes, VersionsGiveNoOrder_OnlyAnOpenWatchSaysThatANodeIsGone) {
  Known parts;
  EXPECT_FALSE(parts.is_gone(parts.on("new", "abc")));
  parts.open<Nodes>();
  EXPECT_TRUE(parts.is_gone(parts.on("new", "abc")));
}

TEST(KnownNodes, GoneNodesAreForgottenWithTheirPods) {
  Known parts;
  parts.lose<Nodes>("node-2");
  parts.router.sweep();
  EXPECT_FALSE(parts.is_gone(parts.on("node-2", Known::kLater))) << "no pod was left on it";
  parts.see<Pods>(parts.on("node-1", parts.next_version()));
  parts.lose<Nodes>("node-1");
  parts.router.sweep();
  EXPECT_TRUE(parts.is_gone(parts.on("node-1", Known::kLater)));
}

}  // namespace
}  // namespace poolwarden::control
