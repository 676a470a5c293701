#include "pool/releases.h"

#include "world.h"

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using std::chrono::seconds;

api::Pod in_drain(const std::string& serving) {
  api::Pod pod = ready_pod("pod", "10.0.0.1");
  pod.serving = serving;
  pod.annotations = std::make_shared<const api::DrainAnnotations>(api::DrainAnnotations{
      .started = "2023-11-14T22:13:20Z",
      .reason = "NodeCordoned",
      .request = {},
      .saved_cost = serving == "drained" ? std::optional<std::string>("") : std::nullopt,
      .deletion_cost = {}});
  return pod;
}

Releases::TimePoint moment_of(int second) {
  return at_second(second).mono;
}

TEST(Releases, CountsFromTheMomentAPodIsReleased) {
  Releases releases;
  releases.saw(in_drain("draining"), moment_of(5));
  EXPECT_FALSE(releases.released_for("pod-uid", moment_of(10)));
  releases.saw(in_drain("drained"), moment_of(10));
  releases.saw(in_drain("drained"), moment_of(20));
  EXPECT_EQ(releases.released_for("pod-uid", moment_of(30)), seconds{20});
  EXPECT_FALSE(releases.taken_back("pod-uid"));
}

TEST(Releases, RemembersWhoWasTakenBack) {
  Releases releases;
  releases.saw(in_drain("drained"), moment_of(10));
  releases.saw(ready_pod("pod", "10.0.0.1"), moment_of(20));
  EXPECT_FALSE(releases.released_for("pod-uid", moment_of(30)));
  EXPECT_EQ(releases.taken_back("pod-uid"), moment_of(20));
  releases.saw(ready_pod("pod", "10.0.0.1"), moment_of(25));
  EXPECT_EQ(releases.taken_back("pod-uid"), moment_of(20)) << "said again";
}

TEST(Releases, NeverReleased_NotTakenBack) {
  Releases releases;
  releases.saw(in_drain("draining"), moment_of(10));
  releases.saw(ready_pod("pod", "10.0.0.1"), moment_of(20));
  EXPECT_FALSE(releases.taken_back("pod-uid"));
}

TEST(Releases, ForgetsPodsThatAreGone) {
  Releases releases;
  releases.saw(in_drain("drained"), moment_of(10));
  releases.forget("pod-uid");
  EXPECT_FALSE(releases.released_for("pod-uid", moment_of(20)));
  releases.saw(in_drain("drained"), moment_of(30));
  releases.saw(ready_pod("pod", "10.0.0.1"), moment_of(40));
  releases.forget("pod-uid");
  EXPECT_FALSE(releases.taken_back("pod-uid"));
}

}  // namespace
}  // namespace poolwarden::pool
