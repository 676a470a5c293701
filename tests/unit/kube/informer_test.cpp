#include "kube/informer.h"

#include "thing.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using Input = InformerInput<Thing>;

Thing thing(std::string name, std::string uid, std::string version, std::string color = "red") {
  return {"ns", std::move(name), std::move(uid), std::move(version), std::move(color), 0};
}

// "+a/u1@5" added, "~a/u1@5>6" modified, "-a/u1@5" deleted.
std::string describe(const Delta<Thing>& delta) {
  switch (delta.kind) {
    case DeltaKind::kAdded:
      EXPECT_EQ(delta.before, nullptr);
      return fmt::format("+{}/{}@{}", delta.after->name, delta.after->uid, delta.after->resource_version);
    case DeltaKind::kModified:
      return fmt::format("~{}/{}@{}>{}", delta.after->name, delta.after->uid, delta.before->resource_version,
                         delta.after->resource_version);
    case DeltaKind::kDeleted:
      EXPECT_EQ(delta.after, nullptr);
      return fmt::format("-{}/{}@{}", delta.before->name, delta.before->uid, delta.before->resource_version);
  }
  return "?";
}

// An informer and the time; inputs answer the latest attempt unless told otherwise.
class Story : public testing::Test {
 protected:
  using Lines = std::vector<std::string>;

  void SetUp() override { take(informer.start(now)); }

  Lines step(decltype(Input::what) what, std::uint64_t attempt) {
    now += milliseconds(1);
    std::vector<Delta<Thing>> deltas;
    take(informer.step({attempt, now, std::move(what)}, now, deltas));
    return lines(deltas);
  }
  Lines step(decltype(Input::what) what) { return step(std::move(what), latest); }
  Lines page(std::vector<Thing> items, std::string version, std::string more = "") {
    return step(Input::ListArrived{{std::move(items), std::move(version), std::move(more)}});
  }
  Lines event(WatchEventType type, Thing object) {
    const std::string version = object.resource_version;
    return step(Input::WatchArrived{{{type, std::move(object), version}}});
  }
  Lines added(Thing object) { return event(WatchEventType::kAdded, std::move(object)); }
  Lines modified(Thing object) { return event(WatchEventType::kModified, std::move(object)); }
  Lines deleted(Thing object) { return event(WatchEventType::kDeleted, std::move(object)); }
  Lines bookmark(std::string version) {
    return step(Input::WatchArrived{{{WatchEventType::kBookmark, {}, version}}});
  }
  Lines observe(Thing object) {
    std::vector<Delta<Thing>> deltas;
    informer.observe(std::move(object), now, deltas);
    return lines(deltas);
  }
  Lines ended(ErrorClass cls) { return step(Input::WatchEnded{Error{cls, 0, "R", "m", std::nullopt}}); }
  void due() {
    now = *informer.next_deadline();
    take(informer.tick(now));
  }
  // To a running watch from version 100 with these objects.
  void watching(std::vector<Thing> items) {
    page(std::move(items), "100");
    step(Input::WatchOpened{});
  }
  void relist(ErrorClass cls = ErrorClass::kRelist) {
    ended(cls);
    due();
  }
  Lines names() const {
    Lines out;
    informer.store().for_each(
        [&](const auto& object) { out.push_back(object->name + "@" + object->resource_version); });
    return out;
  }

  Informer<SaxThingCodec> informer{ReflectorOptions{}, [] { return 0.0; }};
  TimePoint now = at(seconds(0));
  std::uint64_t latest = 0;
  std::vector<ReflectorAction> actions;  // of the last step

 private:
  void take(std::vector<ReflectorAction> next) {
    actions = std::move(next);
    for (const auto& action : actions) {
      if (const auto* list = std::get_if<StartList>(&action)) latest = list->attempt;
      if (const auto* watch = std::get_if<StartWatch>(&action)) latest = watch->attempt;
    }
  }
  static Lines lines(const std::vector<Delta<Thing>>& deltas) {
    Lines out;
    for (const auto& delta : deltas) out.push_back(describe(delta));
    return out;
  }
};

TEST_F(Story, APagedListIsSwappedInAtItsEnd) {
  EXPECT_THAT(page({thing("b", "u2", "6")}, "100", "tok"), IsEmpty());
  EXPECT_FALSE(informer.synced());
  EXPECT_EQ(informer.store().size(), 0U);
  EXPECT_THAT(page({thing("a", "u1", "5")}, "100"), ElementsAre("+a/u1@5", "+b/u2@6"));
  EXPECT_TRUE(informer.synced());
  EXPECT_EQ(std::get<StartWatch>(actions.back()).resource_version, "100");
}

TEST_F(Story, AnEmptyListIsASync) {
  EXPECT_THAT(page({}, "100"), IsEmpty());
  EXPECT_TRUE(informer.synced());
}

TEST_F(Story, WatchEventsBecomeDifferences) {
  watching({thing("a", "u1", "5")});
  EXPECT_THAT(added(thing("b", "u2", "101")), ElementsAre("+b/u2@101"));
  EXPECT_THAT(modified(thing("a", "u1", "102", "blue")), ElementsAre("~a/u1@5>102"));
  EXPECT_THAT(deleted(thing("b", "u2", "103")), ElementsAre("-b/u2@101"));
  EXPECT_THAT(names(), ElementsAre("a@102"));
  EXPECT_EQ(informer.store().find("ns", "a")->color, "blue");
}

TEST_F(Story, ADifferenceCarriesWhenItsBytesHadBeenDecoded) {
  watching({});
  std::vector<Delta<Thing>> deltas;
  const TimePoint decoded = now + milliseconds(2);
  informer.step(
      {latest, decoded, Input::WatchArrived{{{WatchEventType::kAdded, thing("a", "u1", "101"), "101"}}}},
      now + milliseconds(9), deltas);
  ASSERT_EQ(deltas.size(), 1U);
  EXPECT_EQ(deltas[0].decoded_at, decoded);
}

TEST_F(Story, AddedForKnownObject_IsModified) {
  watching({thing("a", "u1", "5")});
  EXPECT_THAT(added(thing("a", "u1", "101")), ElementsAre("~a/u1@5>101")) << "ADDED of a known object";
  EXPECT_THAT(modified(thing("b", "u2", "102")), ElementsAre("+b/u2@102")) << "MODIFIED of an unknown one";
  EXPECT_THAT(deleted(thing("c", "u3", "103")), IsEmpty()) << "DELETED of an unknown one";
}

TEST_F(Story, TheSameEventAgainIsNoDifference) {
  watching({});
  added(thing("a", "u1", "101"));
  EXPECT_THAT(added(thing("a", "u1", "101")), IsEmpty());
  EXPECT_THAT(modified(thing("a", "u1", "101")), IsEmpty());
}

TEST_F(Story, ADeleteMissedWhileDisconnectedIsFoundByTheRelist) {
  watching({thing("a", "u1", "5"), thing("b", "u2", "6"), thing("c", "u3", "7")});
  relist();
  EXPECT_THAT(page({thing("a", "u1", "5"), thing("c", "u3", "110")}, "120"),
              ElementsAre("-b/u2@6", "~c/u3@7>110"));
  EXPECT_THAT(names(), ElementsAre("a@5", "c@110"));
}

TEST_F(Story, TheStoreStaysAsItWasWhileARelistIsUnderWay) {
  watching({thing("a", "u1", "5")});
  relist();
  page({thing("b", "u2", "110")}, "120", "tok");
  EXPECT_THAT(names(), ElementsAre("a@5"));
  EXPECT_TRUE(informer.synced());
}

TEST_F(Story, APartOfAListThatWasGivenUpLeavesNoTrace) {
  watching({thing("a", "u1", "5")});
  relist();
  page({thing("phantom", "u9", "110")}, "120", "tok");
  step(Input::ListFailed{Error{ErrorClass::kRelist, 410, "Expired", "m", std::nullopt}});
  due();
  EXPECT_THAT(page({thing("a", "u1", "5")}, "130"), IsEmpty());
  EXPECT_THAT(names(), ElementsAre("a@5"));
}

TEST_F(Story, APartOfAListBeforeAPassingFailureCounts) {
  page({thing("a", "u1", "5")}, "100", "tok");
  step(Input::ListFailed{Error{ErrorClass::kRetry, 500, "R", "m", std::nullopt}});
  due();
  EXPECT_EQ(std::get<StartList>(actions.back()).continue_token, "tok");
  EXPECT_THAT(page({thing("b", "u2", "6")}, "100"), ElementsAre("+a/u1@5", "+b/u2@6"));
}

TEST_F(Story, ARelistKeepsTheObjectsItBringsUnchanged) {
  watching({thing("a", "u1", "5")});
  const auto before = informer.store().find("ns", "a");
  relist();
  EXPECT_THAT(page({thing("a", "u1", "5")}, "120"), IsEmpty());
  EXPECT_EQ(informer.store().find("ns", "a"), before);
}

TEST_F(Story, ANamesakeIsADeletionAndAnAddition) {
  watching({thing("a", "u1", "5")});
  EXPECT_THAT(added(thing("a", "u2", "101")), ElementsAre("-a/u1@5", "+a/u2@101"));
  EXPECT_THAT(deleted(thing("a", "u1", "100")), IsEmpty()) << "a late end of the one before";
  EXPECT_THAT(names(), ElementsAre("a@101"));
}

TEST_F(Story, ANamesakeFoundByARelistIsADeletionAndAnAddition) {
  watching({thing("a", "u1", "5")});
  relist();
  EXPECT_THAT(page({thing("a", "u2", "110")}, "120"), ElementsAre("-a/u1@5", "+a/u2@110"));
}

TEST_F(Story, ALatePageOfAnEarlierListIsIgnored) {
  page({thing("a", "u1", "5")}, "100", "tok");
  const std::uint64_t second_page = latest;
  step(Input::ListFailed{Error{ErrorClass::kRelist, 410, "Expired", "m", std::nullopt}});
  due();
  EXPECT_THAT(step(Input::ListArrived{{{thing("b", "u2", "6")}, "100", ""}}, second_page), IsEmpty());
  EXPECT_FALSE(informer.synced());
  EXPECT_THAT(page({thing("c", "u3", "7")}, "110"), ElementsAre("+c/u3@7"));
}

TEST_F(Story, EventsOfAWatchThatWasGivenUpAreIgnored) {
  watching({thing("a", "u1", "5")});
  const std::uint64_t old_watch = latest;
  relist();
  const TimePoint last_byte = informer.last_byte();
  const Input::WatchArrived late{{{WatchEventType::kDeleted, thing("a", "u1", "101"), "101"}}};
  EXPECT_THAT(step(late, old_watch), IsEmpty());
  EXPECT_THAT(names(), ElementsAre("a@5"));
  EXPECT_EQ(informer.last_byte(), last_byte) << "they are no sign of life either";
}

TEST_F(Story, AnOlderEventDoesNotTakeAnObjectBack) {
  watching({thing("a", "u1", "105")});
  EXPECT_THAT(modified(thing("a", "u1", "104")), IsEmpty());
  EXPECT_THAT(added(thing("a", "u0", "99")), IsEmpty()) << "nor an older namesake";
  EXPECT_THAT(names(), ElementsAre("a@105"));
}

// Own writes.

TEST_F(Story, AnObservedWriteIsThereBeforeTheWatchBringsIt) {
  watching({thing("a", "u1", "5")});
  EXPECT_THAT(observe(thing("a", "u1", "103", "blue")), ElementsAre("~a/u1@5>103"));
  EXPECT_THAT(modified(thing("a", "u1", "102")), IsEmpty()) << "what it was before the write";
  EXPECT_THAT(modified(thing("a", "u1", "103", "blue")), IsEmpty());
  EXPECT_THAT(modified(thing("a", "u1", "104")), ElementsAre("~a/u1@103>104"));
}

TEST_F(Story, AnObservedWriteThatIsOlderThanTheCacheIsNothing) {
  watching({thing("a", "u1", "105")});
  EXPECT_THAT(observe(thing("a", "u1", "104")), IsEmpty());
  EXPECT_THAT(observe(thing("a", "u1", "105")), IsEmpty());
}

TEST_F(Story, AnObservedCreationIsTakenIn) {
  watching({});
  EXPECT_THAT(observe(thing("a", "u1", "101")), ElementsAre("+a/u1@101"));
  EXPECT_THAT(added(thing("a", "u1", "101")), IsEmpty());
}

TEST_F(Story, AnObservedWriteDoesNotBringBackWhatWasDeleted) {
  watching({thing("a", "u1", "5")});
  deleted(thing("a", "u1", "103"));
  EXPECT_THAT(observe(thing("a", "u1", "102")), IsEmpty());
  EXPECT_THAT(observe(thing("a", "u1", "999")), IsEmpty()) << "whatever its version says";
}

TEST_F(Story, AnObservedWriteDoesNotBringBackWhatARelistFoundGone) {
  watching({thing("a", "u1", "5")});
  relist();
  page({}, "120");
  EXPECT_THAT(observe(thing("a", "u1", "110")), IsEmpty());
}

TEST_F(Story, AnObservedObjectThatTheWatchHasPassedByIsGone) {
  watching({});
  bookmark("200");
  EXPECT_THAT(observe(thing("a", "u1", "150")), IsEmpty()) << "created and deleted before 200";
}

TEST_F(Story, AnObservedNamesakeEndsTheOneBefore) {
  watching({thing("a", "u1", "5")});
  EXPECT_THAT(observe(thing("a", "u2", "103")), ElementsAre("-a/u1@5", "+a/u2@103"));
  EXPECT_THAT(deleted(thing("a", "u1", "101")), IsEmpty());
  EXPECT_THAT(observe(thing("a", "u1", "102")), IsEmpty());
  EXPECT_THAT(added(thing("a", "u2", "103")), IsEmpty());
}

TEST_F(Story, AWriteObservedDuringARelistSurvivesTheListThatIsOlder) {
  watching({thing("a", "u1", "5")});
  relist();
  page({thing("a", "u1", "5")}, "120", "tok");
  EXPECT_THAT(observe(thing("a", "u1", "125")), ElementsAre("~a/u1@5>125"));
  EXPECT_THAT(observe(thing("b", "u2", "126")), ElementsAre("+b/u2@126"));
  EXPECT_THAT(page({}, "120"), IsEmpty());
  EXPECT_THAT(names(), ElementsAre("a@125", "b@126"));
}

TEST_F(Story, BeforeTheFirstListNothingIsObserved) {
  EXPECT_THAT(observe(thing("a", "u1", "5")), IsEmpty());
  EXPECT_EQ(informer.store().size(), 0U);
}

TEST_F(Story, IncomparableVersions_LaterArrivalIsNewer) {
  page({thing("a", "u1", "x1")}, "x9");
  step(Input::WatchOpened{});
  EXPECT_THAT(modified(thing("a", "u1", "w2")), ElementsAre("~a/u1@x1>w2"));
  EXPECT_THAT(modified(thing("a", "u1", "w2")), IsEmpty());
  deleted(thing("a", "u1", "w3"));
  EXPECT_THAT(observe(thing("a", "u1", "w2")), IsEmpty()) << "the tombstone holds it";
}

TEST_F(Story, AfterARewoundHistoryTheListIsTheTruth) {
  watching({thing("a", "u1", "50"), thing("b", "u2", "60"), thing("c", "u3", "70")});
  relist();
  std::vector<Thing> restored = {thing("a", "u1", "40", "blue"), thing("b", "u9", "41")};
  for (int i = 0; i < Reflector::kStaleListLimit; ++i) {
    EXPECT_THAT(page(restored, "45"), IsEmpty());
    due();
  }
  EXPECT_THAT(names(), ElementsAre("a@50", "b@60", "c@70")) << "it might have been a server that lags";
  EXPECT_THAT(page(restored, "45"), UnorderedElementsAre("-c/u3@70", "~a/u1@50>40", "-b/u2@60", "+b/u9@41"));
  step(Input::WatchOpened{});
  EXPECT_THAT(modified(thing("a", "u1", "46")), ElementsAre("~a/u1@40>46"));
}

// What the owner sees.

TEST_F(Story, TheTransformSeesEachObjectOnceBeforeItIsStored) {
  Informer<SaxThingCodec> other{ReflectorOptions{}, [] { return 0.0; }};
  int calls = 0;
  other.set_transform([&](Thing& object) {
    ++calls;
    object.color = "interned";
  });
  std::vector<Delta<Thing>> deltas;
  other.start(now);
  other.step({1, now, Input::ListArrived{{{thing("a", "u1", "5")}, "100", ""}}}, now, deltas);
  other.observe(thing("b", "u2", "101"), now, deltas);
  other.step({2, now, Input::WatchArrived{{{WatchEventType::kAdded, thing("c", "u3", "102"), "102"}}}}, now,
             deltas);
  EXPECT_EQ(calls, 3);
  other.store().for_each([](const auto& object) { EXPECT_EQ(object->color, "interned"); });
}

TEST_F(Story, AnIndexFollowsTheCache) {
  const IndexId index = informer.add_index(
      [](const Thing& object, std::vector<std::string>& keys) { keys.push_back(object.color); });
  watching({thing("a", "u1", "5"), thing("b", "u2", "6", "blue")});
  modified(thing("a", "u1", "101", "blue"));
  EXPECT_EQ(informer.store().by_index(index, "blue").size(), 2U);
  relist();
  page({thing("b", "u2", "6", "blue")}, "120");
  EXPECT_EQ(informer.store().by_index(index, "blue").size(), 1U);
}

Unreadable unreadable(std::vector<ObjectKey> keys) {
  Unreadable out;
  for (ObjectKey& key : keys) out.add(std::move(key), "broken");
  return out;
}

TEST_F(Story, AnythingFromTheServerIsASignOfLife) {
  const TimePoint started = now;
  EXPECT_EQ(informer.last_byte(), started);
  step(Input::ListFailed{Error{ErrorClass::kRetry, 0, "R", "refused", std::nullopt}});
  EXPECT_EQ(informer.last_byte(), started) << "no answer came";
  due();
  step(Input::ListFailed{Error{ErrorClass::kRetry, 503, "R", "m", std::nullopt}});
  EXPECT_EQ(informer.last_byte(), now);
  due();
  page({}, "100");
  EXPECT_EQ(informer.last_byte(), now);
  step(Input::WatchOpened{});
  EXPECT_EQ(informer.last_byte(), now);
  bookmark("101");
  EXPECT_EQ(informer.last_byte(), now);
  step(Input::WatchArrived{});
  EXPECT_EQ(informer.last_byte(), now) << "a part of a line";
  const TimePoint last = now;
  ended(ErrorClass::kRetry);
  EXPECT_EQ(informer.last_byte(), last);
}

TEST_F(Story, AnswersThatBringNothing_LeaveTheCacheAsOldAsItWas) {
  const TimePoint started = now;
  const auto refused = [](int status) { return Error{ErrorClass::kRetry, status, "R", "m", std::nullopt}; };
  step(Input::ListFailed{refused(500)});
  EXPECT_EQ(informer.fresh_at(), started) << "a refusal is an answer, and no news";
  due();
  page({}, "100", "more");
  EXPECT_EQ(informer.fresh_at(), started) << "half a list is none";
  page({}, "100");
  TimePoint fresh = now;
  EXPECT_EQ(informer.fresh_at(), fresh);
  const auto stays = [&](const char* what) { EXPECT_EQ(informer.fresh_at(), fresh) << what; };

  now += std::chrono::minutes(1);
  step(Input::WatchEnded{refused(503)});
  stays("a watch that is refused");
  due();
  step(Input::WatchOpened{});
  stays("a watch that only opens");
  step(Input::WatchArrived{});
  stays("a part of a line, or an error inside the stream");
  step(Input::WatchEnded{refused(500)});
  stays("the end of that");
  EXPECT_GT(informer.last_byte(), fresh) << "though the server talks all the time";

  due();
  bookmark("101");
  fresh = now;
  stays("a bookmark says that nothing is missing");
  step(Input::WatchArrived{{}, unreadable({{"ns", "a"}})});
  fresh = now;
  stays("what cannot be read has come all the same");
}

TEST_F(Story, TheErrorIsShownUntilItIsOver) {
  step(Input::ListFailed{Error{ErrorClass::kForbidden, 403, "Forbidden", "pods is forbidden", std::nullopt}});
  ASSERT_TRUE(informer.last_error());
  EXPECT_EQ(informer.last_error()->message, "pods is forbidden");
  due();
  page({}, "100");
  EXPECT_FALSE(informer.last_error());
}

// What cannot be read.

TEST_F(Story, WhatCannotBeReadKeepsItsLastState) {
  watching({thing("a", "u1", "90"), thing("b", "u2", "91"), thing("c", "u3", "92")});
  EXPECT_THAT(step(Input::WatchArrived{{{WatchEventType::kBookmark, {}, "101"}}, unreadable({{"ns", "a"}})}),
              IsEmpty());
  EXPECT_EQ(informer.resource_version(), "101");
  EXPECT_EQ(informer.unreadable().count, 1U);
  EXPECT_EQ(informer.unreadable().problem, "ns/a: broken");
  relist();
  EXPECT_THAT(step(Input::ListArrived{{{thing("c", "u3", "92")}, "110", "", unreadable({{"ns", "a"}})}}),
              ElementsAre("-b/u2@91"));
  EXPECT_THAT(names(), ElementsAre("a@90", "c@92"));
  EXPECT_EQ(informer.unreadable().count, 2U);
}

TEST_F(Story, AnItemWithoutANameMayBeAnyThatIsMissing) {
  watching({thing("a", "u1", "90"), thing("b", "u2", "91")});
  relist();
  step(Input::ListArrived{{{}, "110", "more", unreadable({{}})}});
  EXPECT_THAT(page({thing("b", "u2", "91")}, "110"), IsEmpty());
  EXPECT_THAT(names(), ElementsAre("a@90", "b@91"));
  step(Input::WatchOpened{});
  relist();
  EXPECT_THAT(page({thing("b", "u2", "91")}, "120"), ElementsAre("-a/u1@90")) << "a list that was read whole";
}

}  // namespace
}  // namespace poolwarden::kube
