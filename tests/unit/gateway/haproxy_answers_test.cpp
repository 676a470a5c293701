#include "gateway/haproxy_answers.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// As HAProxy 2.6.12 words them.
constexpr const char* kInfo =
    "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nNbthread: 2\nPid: 7281\nUptime: 0d 0h00m00s\n";
constexpr const char* kState =
    "1\n"
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "
    "srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port\n"
    "3 b 1 pod-1 fd00::1 2 4 1 1 0 1 0 0 8 0 0 0 - 8000 - 0 0 - - 0\n"
    "3 b 2 pod-2 127.0.77.2 2 12 25 1 0 1 0 0 8 0 0 0 - 8000 - 0 0 - - 0\n"
    "3 b 3 pod-3 127.0.0.1 0 5 1 1 0 1 0 0 8 0 0 0 - 1 - 0 0 - - 0\n"
    "3 b 4 pod-4 - 0 32 1 1 0 1 0 0 8 0 0 0 name.example 80 - 0 0 - - 0\n"
    "3 other 5 pod-5 127.0.0.9 2 0 1 1 0 1 0 0 8 0 0 0 - 9 - 0 0 - - 0\n";
constexpr const char* kStat =
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,last_chk,\n"
    "b,pod-1,0,0,2,9,,10,UP,,\n"
    "b,pod-2,3,5,1,9,,10,DRAIN,\"L4CON, \"\"refused\"\", again\",\n"
    "b,pod-3,0,0,0,0,,0,MAINT,,\n"
    "b,BACKEND,1,0,7,0,,0,UP,,\n"
    "other,pod-5,0,0,4,0,,0,UP,,\n";

TEST(SplitAnswers, EndsEachAtAnEmptyLine) {
  EXPECT_THAT(*split_answers("\n", 1), ElementsAre(""));
  EXPECT_THAT(*split_answers("a\nb\n\n\nc\n\n", 3), ElementsAre("a\nb\n", "", "c\n"));
  EXPECT_THAT(*split_answers("a\r\n\r\n", 1), ElementsAre("a\n"));
}

TEST(SplitAnswers, RefusesCutAndSurplusAnswers) {
  for (const char* bytes : {"", "a", "a\n", "a\n\nb", "a\n\nb\n", "a\n\n\n", "a\n\n\n\n\n\n"}) {
    const auto answers = split_answers(bytes, 1);
    ASSERT_FALSE(answers) << bytes;
    EXPECT_THAT(answers.error().message, HasSubstr("whole answers to 1 commands"));
    EXPECT_EQ(answers.error().cls, kube::ErrorClass::kRetry);
  }
}

TEST(ParseSnapshot, ReadsWhatHaproxySays) {
  const auto snapshot = parse_snapshot({kInfo, kState, kStat}, "b");
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_EQ(snapshot->pid, 7281);
  EXPECT_EQ(snapshot->version, "2.6.12-1+deb12u4");
  EXPECT_THAT(
      snapshot->servers,
      ElementsAre(ObservedServer{"pod-1", make_address("fd00::1", 8000), AdminState::kReady, 2},
                  ObservedServer{"pod-2", make_address("127.0.77.2", 8000), AdminState::kDrain, 4, 25},
                  ObservedServer{"pod-3", make_address("127.0.0.1", 1), AdminState::kMaintenance, 0},
                  // Not in "show stat": counts as busy, so that it is left alone.
                  ObservedServer{"pod-4", std::nullopt, AdminState::kMaintenance, 1}));
}

TEST(StateFile, HasAddressesWeightsAndWhatAnAdministratorSaid) {
  const std::string file = to_state_file({kInfo, kState, kStat});
  EXPECT_EQ(parse_servers_state(file, "b").value(), parse_servers_state(kState, "b").value());
  EXPECT_THAT(file, HasSubstr("\n3 b 2 pod-2 127.0.77.2 2 12 25 1 0 1 0 1 0 0 0 0 - 8000 - 0 0 - - 0\n"));
}

TEST(StateFile, OfTheSameServersIsTheSameText) {
  const std::string header =
      "1\n# be_name srv_name srv_op_state srv_time_since_last_change srv_check_state\n";
  const auto file = [&](const char* row) { return to_state_file({"", header + row + "\n"}); };
  EXPECT_EQ(file("b pod-1 0 7 7"), file("b pod-1 2 0 6"));
  EXPECT_NE(file("b pod-1 0 7 0"), file("b pod-1 2 0 6")) << "nobody checks the first";
}

TEST(StateFile, WhatIsNoAnswerIsNoServers) {
  EXPECT_EQ(to_state_file({}), kEmptyStateFile);
  EXPECT_EQ(to_state_file({"", "1\n"}), "1\n\n");
  for (const char* row : {"", "x", " ", "\n\n", "# ", "a b c d e f g h"})
    EXPECT_LT(to_state_file({"", row}).size(), 40u) << row;
}

TEST(ParseServersState, FindsColumnsByNameInAnyOrder) {
  const auto servers = parse_servers_state(
      "2\n# srv_name new_one srv_uweight be_name srv_port srv_admin_state srv_addr\n"
      "\n# a comment\npod-1 ? 256 b 80 8 10.0.0.1 more\n",
      "b");
  ASSERT_TRUE(servers) << servers.error().message;
  EXPECT_THAT(*servers,
              ElementsAre(ObservedServer{"pod-1", make_address("10.0.0.1", 80), AdminState::kDrain, 0, 256}));
}

TEST(ParseServersState, AdminFlagsAreAMask) {
  const std::pair<int, AdminState> rows[] = {
      {0x00, AdminState::kReady},       {0x01, AdminState::kMaintenance}, {0x02, AdminState::kMaintenance},
      {0x04, AdminState::kReady},       {0x05, AdminState::kMaintenance}, {0x08, AdminState::kDrain},
      {0x10, AdminState::kDrain},       {0x0c, AdminState::kDrain},       {0x09, AdminState::kMaintenance},
      {0x20, AdminState::kMaintenance}, {0x40, AdminState::kReady}};
  for (const auto& [flags, admin] : rows) {
    const auto servers = parse_servers_state(
        "1\n# be_name srv_name srv_addr srv_admin_state srv_port srv_uweight\nb s 10.0.0.1 " +
            std::to_string(flags) + " 80 1\n",
        "b");
    ASSERT_TRUE(servers);
    EXPECT_EQ(servers->front().admin, admin) << flags;
  }
}

struct BadRow {
  std::string situation;
  std::vector<std::string> answers;
  std::string says;
};

class BadAnswers : public testing::TestWithParam<BadRow> {};

TEST_P(BadAnswers, AreAnErrorThatSaysWhatIsWrong) {
  const auto snapshot = parse_snapshot(GetParam().answers, "b");
  ASSERT_FALSE(snapshot);
  EXPECT_THAT(snapshot.error().message, HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Situations, BadAnswers,
    testing::Values(
        BadRow{
            "another program", {"220 mail.example ESMTP\n", kState, kStat}, "is not HAProxy's Runtime API"},
        BadRow{"empty", {"", kState, kStat}, "is not HAProxy's Runtime API"},
        BadRow{"no pid", {"Name: HAProxy\nPid: x\n", kState, kStat}, "is not HAProxy's Runtime API"},
        BadRow{"the socket's level is user", {kInfo, "Permission denied\n", kStat}, "needs 'level admin'"},
        BadRow{"no such backend",
               {kInfo, "Can't find backend.\n", kStat},
               "no backend named b: correct --backend"},
        BadRow{"no such proxy", {kInfo, kState, "No such proxy.\n"}, "no backend named b"},
        BadRow{"no header", {kInfo, "1\n", kStat}, "not with a format version and a header"},
        BadRow{"no version", {kInfo, "# be_id\n", kStat}, "begins '# be_id'"},
        BadRow{"a column is gone",
               {kInfo, "1\n# be_name srv_name srv_addr srv_port\nb s 10.0.0.1 80\n", kStat},
               "has no column srv_admin_state"},
        BadRow{"a row is short",
               {kInfo, "1\n# be_name srv_name srv_addr srv_port srv_admin_state\nb s 10.0.0.1 80\n", kStat},
               "has a row without srv_admin_state"},
        BadRow{
            "a number is none",
            {kInfo, "1\n# be_name srv_name srv_addr srv_port srv_admin_state\nb s 10.0.0.1 80 0x1\n", kStat},
            "says '0x1' for srv_admin_state"},
        BadRow{"a number is too large",
               {kInfo,
                "1\n# be_name srv_name srv_addr srv_port srv_admin_state\nb s 10.0.0.1 80 "
                "99999999999999999999\n",
                kStat},
               "which is no number"},
        BadRow{"no weight",
               {kInfo, "1\n# be_name srv_name srv_addr srv_port srv_admin_state\nb s 10.0.0.1 80 0\n", kStat},
               "has no column srv_uweight"},
        BadRow{"stat without header", {kInfo, kState, "b,pod-1\n"}, "'show stat' begins"},
        BadRow{
            "stat without scur", {kInfo, kState, "# pxname,svname,qcur\nb,pod-1,0\n"}, "has no column scur"},
        BadRow{"stat with an empty number",
               {kInfo, kState, "# pxname,svname,qcur,scur\nb,pod-1,0,\n"},
               "says '' for scur"},
        BadRow{"too few answers", {kInfo}, "gave 1 answers"}),
    [](const auto& row) { return "Row" + std::to_string(row.index); });

TEST(ParseStat, HugeAndNegativeCountersDoNotOverflow) {
  const auto loads = parse_stat(
      "# pxname,svname,qcur,scur\nb,s,9223372036854775807,9223372036854775807\nb,t,-9223372036854775808,-5\n",
      "b");
  ASSERT_TRUE(loads);
  EXPECT_GT(loads->at(0).busy, 0);
  EXPECT_EQ(loads->at(1).busy, 0);
}

// Whatever comes, it is an error or a snapshot: never a crash. Mutations of real answers reach further than
// noise does.
TEST(ParseSnapshot, SurvivesAnything) {
  std::mt19937 random(7);
  const std::vector<std::string> real = {kInfo, kState, kStat};
  std::size_t read = 0;
  for (int round = 0; round < 5'000; ++round) {
    auto answers = real;
    for (int change = 0; change < 3; ++change) {
      std::string& text = answers[random() % 3];
      if (text.empty()) continue;
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random() % 256);
          break;
        case 1:
          text.erase(at, 1 + random() % 20);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
      }
    }
    const auto snapshot = parse_snapshot(answers, "b");
    if (snapshot) {
      ++read;
    } else {
      ASSERT_FALSE(snapshot.error().message.empty());
    }
    (void)split_answers(answers[0] + "\n" + answers[1], 2);
  }
  EXPECT_GT(read, 100U);
  EXPECT_LT(read, 4'900U);
}

}  // namespace
}  // namespace poolwarden::gateway
