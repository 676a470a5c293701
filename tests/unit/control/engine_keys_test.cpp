#include "control/engine_keys.h"

#include "kube/base64.h"

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const kube::ObjectKey kKeys{"models", "keys"};
const kube::ObjectKey kAsking{"models", "vllm"};

api::Secret secret_with(const std::string& value, const std::string& key = "api-key") {
  api::Secret secret;
  secret.ns = kKeys.ns;
  secret.name = kKeys.name;
  secret.data[key] = kube::base64_encode(value);
  return secret;
}

kube::Error answered_with(kube::ErrorClass cls, int status = 0) {
  return {cls, status, "", "the API server says: sesame", {}};
}

struct Wanting {
  EngineKeys::Known want(const std::string& key = "api-key", const kube::ObjectKey& pool = kAsking) {
    return keys.want(kKeys, key, pool, now);
  }
  // The key that is known; nothing: there is none.
  std::optional<std::string> value(const std::string& key = "api-key") {
    const auto known = want(key);
    return known.key ? std::optional(known.key->value) : std::nullopt;
  }
  // What is wanted is read, and the answer is this.
  std::set<kube::ObjectKey> read(const kube::Result<api::Secret>& answer) {
    want();
    EXPECT_THAT(keys.take_due(), ElementsAre(kKeys));
    return keys.arrived(kKeys, answer, now);
  }
  bool is_due() {
    want();
    return !keys.take_due().empty();
  }

  kube::TimePoint now{1000s};
  EngineKeys keys;
};

TEST(EngineKeys, FirstWanted_IsReadOnceAndWaitedFor) {
  Wanting wanting;
  const auto known = wanting.want();
  EXPECT_FALSE(known.key);
  EXPECT_EQ(known.problem, "") << "it is being read";
  wanting.want("api-key", {"models", "other"});
  EXPECT_THAT(wanting.keys.take_due(), ElementsAre(kKeys));
  wanting.now += 5min;
  EXPECT_FALSE(wanting.is_due()) << "one read at a time";
  EXPECT_THAT(wanting.keys.arrived(kKeys, secret_with("sesame"), wanting.now),
              ElementsAre(kube::ObjectKey{"models", "other"}, kAsking));
  EXPECT_EQ(wanting.value(), "sesame");
}

TEST(EngineKeys, Fresh_IsNotReadAgainForAMinute) {
  Wanting wanting;
  wanting.read(secret_with("sesame"));
  wanting.now += EngineKeys::kFresh - 1ms;
  EXPECT_FALSE(wanting.is_due());
  wanting.now += 1ms;
  EXPECT_EQ(wanting.value(), "sesame") << "in use while it is read anew";
  EXPECT_THAT(wanting.keys.take_due(), ElementsAre(kKeys));
  EXPECT_THAT(wanting.keys.arrived(kKeys, secret_with("another"), wanting.now), IsEmpty());
  EXPECT_EQ(wanting.value(), "another");
}

TEST(EngineKeys, NotWanted_IsNotRead) {
  Wanting wanting;
  wanting.read(secret_with("sesame"));
  wanting.now += 1h;
  EXPECT_THAT(wanting.keys.take_due(), IsEmpty());
}

TEST(EngineKeys, SecondKeyOfAFreshSecret_IsReadAtOnce) {
  Wanting wanting;
  wanting.read(secret_with("sesame"));
  EXPECT_FALSE(wanting.want("other").key);
  EXPECT_THAT(wanting.keys.take_due(), ElementsAre(kKeys));
  api::Secret both = secret_with("sesame");
  both.data["other"] = kube::base64_encode("tahini");
  wanting.keys.arrived(kKeys, both, wanting.now);
  EXPECT_EQ(wanting.value("other"), "tahini");
  EXPECT_EQ(wanting.value(), "sesame");
}

TEST(EngineKeys, Reasons_NameTheSecretAndTheFix) {
  struct Row {
    kube::Result<api::Secret> answer;
    const char* told;
  };
  const Row rows[] = {
      {tl::unexpected(answered_with(kube::ErrorClass::kForbidden, 403)),
       "the operator may not read Secret keys: give its service account `get` on it, "
       "docs/operations.md#keys-of-engines"},
      {tl::unexpected(answered_with(kube::ErrorClass::kNotFound, 404)),
       "Secret keys, which spec.engine.apiKeySecret names, is not there"},
      {tl::unexpected(answered_with(kube::ErrorClass::kRetry, 503)),
       "Secret keys cannot be read for now (HTTP 503); the operator tries again"},
      {tl::unexpected(answered_with(kube::ErrorClass::kRetry)),
       "Secret keys cannot be read for now (no answer); the operator tries again"},
      {secret_with("sesame", "key"), "Secret keys has no key api-key: see spec.engine.apiKeySecret.key"},
      {secret_with(""), "key api-key of Secret keys is empty"},
      {secret_with("sesame\n"),
       "key api-key of Secret keys has a line break or another character that no HTTP header may have"},
      {secret_with("sesame\r\nHost: evil"), "key api-key of Secret keys has a line break"},
      {secret_with("s\xc3\xa9same"), "key api-key of Secret keys has a line break or another character"},
      {secret_with(std::string("sesame\0", 7)), "key api-key of Secret keys has a line break or another"},
      {secret_with(std::string(EngineKeys::kMaxKey + 1, 'x')),
       "key api-key of Secret keys is longer than 8192 bytes"},
  };
  for (const Row& row : rows) {
    Wanting wanting;
    EXPECT_THAT(wanting.read(row.answer), ElementsAre(kAsking)) << row.told;
    const auto known = wanting.want();
    EXPECT_FALSE(known.key) << row.told;
    EXPECT_THAT(known.problem, HasSubstr(row.told));
    EXPECT_THAT(known.problem, Not(HasSubstr("same"))) << "nothing is quoted";
  }
}

TEST(EngineKeys, LongestKeyThatMayBe_IsTaken) {
  Wanting wanting;
  wanting.read(secret_with(std::string(EngineKeys::kMaxKey, '~')));
  EXPECT_TRUE(wanting.want().key);
}

TEST(EngineKeys, ValueThatIsNoBase64_IsRefused) {
  Wanting wanting;
  api::Secret secret = secret_with("");
  secret.data["api-key"] = "sesame!";
  wanting.read(secret);
  EXPECT_EQ(wanting.want().problem, "key api-key of Secret keys is not base64");
}

TEST(EngineKeys, Failure_IsToldUntilTheNextReadAndTriedEverMoreRarely) {
  Wanting wanting;
  for (const kube::Duration pause : {5s, 10s, 20s, 30s, 30s}) {
    wanting.read(tl::unexpected(answered_with(kube::ErrorClass::kForbidden, 403)));
    wanting.now += pause - 1ms;
    EXPECT_FALSE(wanting.is_due()) << pause.count();
    wanting.now += 1ms;
    EXPECT_NE(wanting.want().problem, "") << "also while it is read again";
  }
  wanting.read(secret_with("sesame"));
  EXPECT_EQ(wanting.value(), "sesame");
}

TEST(EngineKeys, KeyThatIsMissing_IsLookedForSoonerThanAKeyThatIsThere) {
  Wanting wanting;
  wanting.read(secret_with("sesame", "other"));
  wanting.now += EngineKeys::kFirstPause;
  wanting.read(secret_with("sesame"));
  EXPECT_EQ(wanting.value(), "sesame");
}

TEST(EngineKeys, ApiServerAway_KeyStaysInUse) {
  Wanting wanting;
  wanting.read(secret_with("sesame"));
  wanting.now += EngineKeys::kFresh;
  wanting.read(tl::unexpected(answered_with(kube::ErrorClass::kRetry)));
  EXPECT_EQ(wanting.value(), "sesame");
}

TEST(EngineKeys, RightTakenAwayOrSecretDeleted_KeyIsForgotten) {
  for (const auto cls : {kube::ErrorClass::kForbidden, kube::ErrorClass::kNotFound}) {
    Wanting wanting;
    wanting.read(secret_with("sesame"));
    wanting.now += EngineKeys::kFresh;
    wanting.read(tl::unexpected(answered_with(cls)));
    EXPECT_FALSE(wanting.want().key);
    EXPECT_NE(wanting.want().problem, "");
  }
}

TEST(EngineKeys, RefusedByAnEngine_IsReadAnewBeforeItIsUsed) {
  Wanting wanting;
  wanting.read(secret_with("old"));
  wanting.now += 30s;
  const std::uint64_t id = wanting.want().key->id;
  wanting.keys.refused(id, wanting.now);
  EXPECT_FALSE(wanting.want().key);
  EXPECT_THAT(wanting.keys.take_due(), ElementsAre(kKeys));
  EXPECT_THAT(wanting.keys.arrived(kKeys, secret_with("new"), wanting.now), ElementsAre(kAsking));
  EXPECT_EQ(wanting.value(), "new");
  wanting.keys.refused(id, wanting.now);
  EXPECT_EQ(wanting.value(), "new") << "what was refused was another";
}

TEST(EngineKeys, RefusedAndUnchanged_IsUsedOnAndReadEverMoreRarely) {
  Wanting wanting;
  wanting.read(secret_with("wrong"));
  const std::uint64_t id = wanting.want().key->id;
  for (const kube::Duration pause : {1s, 2s, 4s, 8s, 16s, 32s, 60s}) {
    wanting.keys.refused(id, wanting.now);
    wanting.keys.refused(id, wanting.now);  // another engine, with the same key
    EXPECT_EQ(wanting.value(), "wrong") << "so that status says what the engine says";
    wanting.now += pause - 1ms;
    EXPECT_FALSE(wanting.is_due()) << pause.count();
    wanting.now += 1ms;
    wanting.read(secret_with("wrong"));
    EXPECT_EQ(wanting.want().key->id, id);
  }
}

TEST(EngineKeys, ManySecrets_AreReadAFewAtATimeAndNamespacesTakeTurns) {
  EngineKeys keys;
  const kube::TimePoint now{1000s};
  for (int i = 0; i < 50; ++i) keys.want({"busy", std::to_string(i)}, "k", kAsking, now);
  keys.want({"calm", "keys"}, "k", kAsking, now);
  const auto first = keys.take_due();
  EXPECT_EQ(first.size(), EngineKeys::kAtOnce);
  EXPECT_THAT(first, ::testing::Contains(kube::ObjectKey{"calm", "keys"}));
  EXPECT_THAT(keys.take_due(), IsEmpty());
  keys.arrived(first[0], secret_with("sesame", "k"), now);
  EXPECT_EQ(keys.take_due().size(), 1U);
}

TEST(EngineKeys, Sweep_ForgetsWhatNobodyWants) {
  Wanting wanting;
  wanting.read(secret_with("sesame"));
  wanting.keys.sweep(wanting.now + EngineKeys::kMemory);
  EXPECT_EQ(wanting.keys.size(), 1U);
  wanting.keys.sweep(wanting.now + EngineKeys::kMemory + 1ms);
  EXPECT_EQ(wanting.keys.size(), 0U);
  EXPECT_THAT(wanting.keys.arrived(kKeys, secret_with("late"), wanting.now), IsEmpty());
}

TEST(EngineKeys, ReadUnderWay_IsNotSwept) {
  Wanting wanting;
  wanting.want();
  wanting.keys.take_due();
  wanting.keys.sweep(wanting.now + 1h);
  EXPECT_EQ(wanting.keys.size(), 1U);
}

}  // namespace
}  // namespace poolwarden::control
