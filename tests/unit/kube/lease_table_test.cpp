// Every state of the elector with every input, also those that cannot happen.
#include "lease_bench.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using namespace std::chrono_literals;

using Step = std::function<void(LeaseBench&)>;
using Input = std::function<std::string(LeaseBench&)>;

// How to get there. In each state the answer to the last call is due, if there is one in flight.
const std::vector<std::pair<std::string, Step>> kStates = {
    {"Observing, idle",
     [](LeaseBench& b) {
       b.tick();
       b.answer(lease_json("rival", "t1", 100));
     }},
    {"Observing, reading", [](LeaseBench& b) { b.tick(); }},
    {"Acquiring, creating",
     [](LeaseBench& b) {
       b.tick();
       b.fail(lease_error(ErrorClass::kNotFound, 404));
     }},
    {"Acquiring, updating",
     [](LeaseBench& b) {
       b.tick();
       b.answer(lease_json("", "", 100));
     }},
    {"Leading, idle", [](LeaseBench& b) { b.lead(); }},
    {"Leading, updating",
     [](LeaseBench& b) {
       b.lead();
       b.tick(2s);
     }},
    {"Leading, reading",
     [](LeaseBench& b) {
       b.lead();
       b.tick(2s);
       b.fail(lease_error(ErrorClass::kConflict, 409, "Conflict"));
     }},
    {"Leading, creating",
     [](LeaseBench& b) {
       b.lead();
       b.tick(2s);
       b.fail(lease_error(ErrorClass::kNotFound, 404));
     }},
    {"Releasing, a renewal in flight",
     [](LeaseBench& b) {
       b.lead();
       b.tick(2s);
       b.release();
     }},
    {"Releasing, an acquisition in flight",
     [](LeaseBench& b) {
       b.tick();
       b.answer(lease_json("", "", 100));
       b.release();
     }},
    {"Releasing, giving back",
     [](LeaseBench& b) {
       b.lead();
       b.release();
     }},
    {"Released",
     [](LeaseBench& b) {
       b.tick();
       b.release();
     }},
    {"Lost",
     [](LeaseBench& b) {
       b.lead();
       b.tick(10s);
     }},
};

const std::vector<std::pair<std::string, Input>> kInputs = {
    {"another holds it", [](LeaseBench& b) { return b.answer(lease_json("rival", "t9", 900)); }},
    {"nobody holds it", [](LeaseBench& b) { return b.answer(lease_json("", "", 900)); }},
    {"what we wrote last is there",
     [](LeaseBench& b) { return b.answer(b.written.empty() ? lease_json("", "", 900) : b.echo()); }},
    {"our name is on it, by someone else",
     [](LeaseBench& b) { return b.answer(lease_json("me", "t0", 900)); }},
    {"garbage", [](LeaseBench& b) { return b.answer("<html>"); }},
    {"404", [](LeaseBench& b) { return b.fail(lease_error(ErrorClass::kNotFound, 404)); }},
    {"409", [](LeaseBench& b) { return b.fail(lease_error(ErrorClass::kConflict, 409, "Conflict")); }},
    {"403", [](LeaseBench& b) { return b.fail(lease_error(ErrorClass::kForbidden, 403)); }},
    {"503", [](LeaseBench& b) { return b.fail(lease_error(ErrorClass::kRetry, 503)); }},
    {"an answer to an older attempt",
     [](LeaseBench& b) {
       b.attempt -= 1;
       return b.answer(lease_json("rival", "t9", 900));
     }},
    {"tick, 1 ms later", [](LeaseBench& b) { return b.tick(1ms); }},
    {"tick, 2 s later", [](LeaseBench& b) { return b.tick(2s); }},
    {"tick, 6 s later", [](LeaseBench& b) { return b.tick(6s); }},
    {"tick, 10 s later", [](LeaseBench& b) { return b.tick(10s); }},
    {"release", [](LeaseBench& b) { return b.release(); }},
};

struct Row {
  std::string state;
  std::string input;
  std::string expected;
};

const std::vector<Row> kRows = {
    // clang-format off
    {"Observing, idle", "another holds it", "Observing:"},
    {"Observing, idle", "nobody holds it", "Observing:"},
    {"Observing, idle", "what we wrote last is there", "Observing:"},
    {"Observing, idle", "our name is on it, by someone else", "Observing:"},
    {"Observing, idle", "garbage", "Observing:"},
    {"Observing, idle", "404", "Observing:"},
    {"Observing, idle", "409", "Observing:"},
    {"Observing, idle", "403", "Observing:"},
    {"Observing, idle", "503", "Observing:"},
    {"Observing, idle", "an answer to an older attempt", "Observing:"},
    {"Observing, idle", "tick, 1 ms later", "Observing:"},
    {"Observing, idle", "tick, 2 s later", "Observing: get"},
    {"Observing, idle", "tick, 6 s later", "Observing: get"},
    {"Observing, idle", "tick, 10 s later", "Observing: get"},
    {"Observing, idle", "release", "Released: released"},
    {"Observing, reading", "another holds it", "Observing:"},
    {"Observing, reading", "nobody holds it", "Acquiring: update"},
    {"Observing, reading", "what we wrote last is there", "Acquiring: update"},
    {"Observing, reading", "our name is on it, by someone else", "Observing:"},
    {"Observing, reading", "garbage", "Observing:"},
    {"Observing, reading", "404", "Acquiring: create"},
    {"Observing, reading", "409", "Observing:"},
    {"Observing, reading", "403", "Observing:"},
    {"Observing, reading", "503", "Observing:"},
    {"Observing, reading", "an answer to an older attempt", "Observing:"},
    {"Observing, reading", "tick, 1 ms later", "Observing:"},
    {"Observing, reading", "tick, 2 s later", "Observing:"},
    {"Observing, reading", "tick, 6 s later", "Observing:"},
    {"Observing, reading", "tick, 10 s later", "Observing:"},
    {"Observing, reading", "release", "Released: released"},
    {"Acquiring, creating", "another holds it", "Observing:"},
    {"Acquiring, creating", "nobody holds it", "Observing:"},
    {"Acquiring, creating", "what we wrote last is there", "Leading: became leader"},
    {"Acquiring, creating", "our name is on it, by someone else", "Observing:"},
    {"Acquiring, creating", "garbage", "Observing:"},
    {"Acquiring, creating", "404", "Observing:"},
    {"Acquiring, creating", "409", "Observing:"},
    {"Acquiring, creating", "403", "Observing:"},
    {"Acquiring, creating", "503", "Observing:"},
    {"Acquiring, creating", "an answer to an older attempt", "Acquiring:"},
    {"Acquiring, creating", "tick, 1 ms later", "Acquiring:"},
    {"Acquiring, creating", "tick, 2 s later", "Acquiring:"},
    {"Acquiring, creating", "tick, 6 s later", "Observing:"},
    {"Acquiring, creating", "tick, 10 s later", "Observing:"},
    {"Acquiring, creating", "release", "Releasing:"},
    {"Acquiring, updating", "another holds it", "Observing:"},
    {"Acquiring, updating", "nobody holds it", "Observing:"},
    {"Acquiring, updating", "what we wrote last is there", "Leading: became leader"},
    {"Acquiring, updating", "our name is on it, by someone else", "Observing:"},
    {"Acquiring, updating", "garbage", "Observing:"},
    {"Acquiring, updating", "404", "Observing:"},
    {"Acquiring, updating", "409", "Observing:"},
    {"Acquiring, updating", "403", "Observing:"},
    {"Acquiring, updating", "503", "Observing:"},
    {"Acquiring, updating", "an answer to an older attempt", "Acquiring:"},
    {"Acquiring, updating", "tick, 1 ms later", "Acquiring:"},
    {"Acquiring, updating", "tick, 2 s later", "Acquiring:"},
    {"Acquiring, updating", "tick, 6 s later", "Observing:"},
    {"Acquiring, updating", "tick, 10 s later", "Observing:"},
    {"Acquiring, updating", "release", "Releasing:"},
    {"Leading, idle", "another holds it", "Leading:"},
    {"Leading, idle", "nobody holds it", "Leading:"},
    {"Leading, idle", "what we wrote last is there", "Leading:"},
    {"Leading, idle", "our name is on it, by someone else", "Leading:"},
    {"Leading, idle", "garbage", "Leading:"},
    {"Leading, idle", "404", "Leading:"},
    {"Leading, idle", "409", "Leading:"},
    {"Leading, idle", "403", "Leading:"},
    {"Leading, idle", "503", "Leading:"},
    {"Leading, idle", "an answer to an older attempt", "Leading:"},
    {"Leading, idle", "tick, 1 ms later", "Leading:"},
    {"Leading, idle", "tick, 2 s later", "Leading: update"},
    {"Leading, idle", "tick, 6 s later", "Leading: update"},
    {"Leading, idle", "tick, 10 s later", "Lost: lost"},
    {"Leading, idle", "release", "Releasing: give back"},
    {"Leading, updating", "another holds it", "Leading:"},
    {"Leading, updating", "nobody holds it", "Leading:"},
    {"Leading, updating", "what we wrote last is there", "Leading:"},
    {"Leading, updating", "our name is on it, by someone else", "Leading:"},
    {"Leading, updating", "garbage", "Leading:"},
    {"Leading, updating", "404", "Leading: create"},
    {"Leading, updating", "409", "Leading: get"},
    {"Leading, updating", "403", "Leading:"},
    {"Leading, updating", "503", "Leading:"},
    {"Leading, updating", "an answer to an older attempt", "Leading:"},
    {"Leading, updating", "tick, 1 ms later", "Leading:"},
    {"Leading, updating", "tick, 2 s later", "Leading:"},
    {"Leading, updating", "tick, 6 s later", "Leading: update"},
    {"Leading, updating", "tick, 10 s later", "Lost: lost"},
    {"Leading, updating", "release", "Releasing:"},
    {"Leading, reading", "another holds it", "Lost: lost"},
    {"Leading, reading", "nobody holds it", "Lost: lost"},
    {"Leading, reading", "what we wrote last is there", "Leading:"},
    {"Leading, reading", "our name is on it, by someone else", "Lost: lost"},
    {"Leading, reading", "garbage", "Leading:"},
    {"Leading, reading", "404", "Leading:"},
    {"Leading, reading", "409", "Leading:"},
    {"Leading, reading", "403", "Leading:"},
    {"Leading, reading", "503", "Leading:"},
    {"Leading, reading", "an answer to an older attempt", "Leading:"},
    {"Leading, reading", "tick, 1 ms later", "Leading:"},
    {"Leading, reading", "tick, 2 s later", "Leading:"},
    {"Leading, reading", "tick, 6 s later", "Leading: get"},
    {"Leading, reading", "tick, 10 s later", "Lost: lost"},
    {"Leading, reading", "release", "Releasing: give back"},
    {"Leading, creating", "another holds it", "Leading:"},
    {"Leading, creating", "nobody holds it", "Leading:"},
    {"Leading, creating", "what we wrote last is there", "Leading:"},
    {"Leading, creating", "our name is on it, by someone else", "Leading:"},
    {"Leading, creating", "garbage", "Leading:"},
    {"Leading, creating", "404", "Leading:"},
    {"Leading, creating", "409", "Leading: get"},
    {"Leading, creating", "403", "Leading:"},
    {"Leading, creating", "503", "Leading:"},
    {"Leading, creating", "an answer to an older attempt", "Leading:"},
    {"Leading, creating", "tick, 1 ms later", "Leading:"},
    {"Leading, creating", "tick, 2 s later", "Leading:"},
    {"Leading, creating", "tick, 6 s later", "Leading: create"},
    {"Leading, creating", "tick, 10 s later", "Lost: lost"},
    {"Leading, creating", "release", "Releasing:"},
    {"Releasing, a renewal in flight", "another holds it", "Released: released"},
    {"Releasing, a renewal in flight", "nobody holds it", "Released: released"},
    {"Releasing, a renewal in flight", "what we wrote last is there", "Releasing: give back"},
    {"Releasing, a renewal in flight", "our name is on it, by someone else", "Released: released"},
    {"Releasing, a renewal in flight", "garbage", "Released: released"},
    {"Releasing, a renewal in flight", "404", "Released: released"},
    {"Releasing, a renewal in flight", "409", "Released: released"},
    {"Releasing, a renewal in flight", "403", "Released: released"},
    {"Releasing, a renewal in flight", "503", "Releasing: give back"},
    {"Releasing, a renewal in flight", "an answer to an older attempt", "Releasing:"},
    {"Releasing, a renewal in flight", "tick, 1 ms later", "Releasing:"},
    {"Releasing, a renewal in flight", "tick, 2 s later", "Releasing:"},
    {"Releasing, a renewal in flight", "tick, 6 s later", "Releasing: give back"},
    {"Releasing, a renewal in flight", "tick, 10 s later", "Releasing: give back"},
    {"Releasing, a renewal in flight", "release", "Releasing:"},
    {"Releasing, an acquisition in flight", "another holds it", "Released: released"},
    {"Releasing, an acquisition in flight", "nobody holds it", "Released: released"},
    {"Releasing, an acquisition in flight", "what we wrote last is there", "Releasing: give back"},
    {"Releasing, an acquisition in flight", "our name is on it, by someone else", "Released: released"},
    {"Releasing, an acquisition in flight", "garbage", "Released: released"},
    {"Releasing, an acquisition in flight", "404", "Released: released"},
    {"Releasing, an acquisition in flight", "409", "Released: released"},
    {"Releasing, an acquisition in flight", "403", "Released: released"},
    {"Releasing, an acquisition in flight", "503", "Released: released"},
    {"Releasing, an acquisition in flight", "an answer to an older attempt", "Releasing:"},
    {"Releasing, an acquisition in flight", "tick, 1 ms later", "Releasing:"},
    {"Releasing, an acquisition in flight", "tick, 2 s later", "Releasing:"},
    {"Releasing, an acquisition in flight", "tick, 6 s later", "Released: released"},
    {"Releasing, an acquisition in flight", "tick, 10 s later", "Released: released"},
    {"Releasing, an acquisition in flight", "release", "Releasing:"},
    {"Releasing, giving back", "another holds it", "Released: released"},
    {"Releasing, giving back", "nobody holds it", "Released: released"},
    {"Releasing, giving back", "what we wrote last is there", "Released: released"},
    {"Releasing, giving back", "our name is on it, by someone else", "Released: released"},
    {"Releasing, giving back", "garbage", "Released: released"},
    {"Releasing, giving back", "404", "Released: released"},
    {"Releasing, giving back", "409", "Released: released"},
    {"Releasing, giving back", "403", "Released: released"},
    {"Releasing, giving back", "503", "Released: released"},
    {"Releasing, giving back", "an answer to an older attempt", "Releasing:"},
    {"Releasing, giving back", "tick, 1 ms later", "Releasing:"},
    {"Releasing, giving back", "tick, 2 s later", "Releasing:"},
    {"Releasing, giving back", "tick, 6 s later", "Released: released"},
    {"Releasing, giving back", "tick, 10 s later", "Released: released"},
    {"Releasing, giving back", "release", "Releasing:"},
    {"Released", "another holds it", "Released:"},
    {"Released", "nobody holds it", "Released:"},
    {"Released", "what we wrote last is there", "Released:"},
    {"Released", "our name is on it, by someone else", "Released:"},
    {"Released", "garbage", "Released:"},
    {"Released", "404", "Released:"},
    {"Released", "409", "Released:"},
    {"Released", "403", "Released:"},
    {"Released", "503", "Released:"},
    {"Released", "an answer to an older attempt", "Released:"},
    {"Released", "tick, 1 ms later", "Released:"},
    {"Released", "tick, 2 s later", "Released:"},
    {"Released", "tick, 6 s later", "Released:"},
    {"Released", "tick, 10 s later", "Released:"},
    {"Released", "release", "Released:"},
    {"Lost", "another holds it", "Lost:"},
    {"Lost", "nobody holds it", "Lost:"},
    {"Lost", "what we wrote last is there", "Lost:"},
    {"Lost", "our name is on it, by someone else", "Lost:"},
    {"Lost", "garbage", "Lost:"},
    {"Lost", "404", "Lost:"},
    {"Lost", "409", "Lost:"},
    {"Lost", "403", "Lost:"},
    {"Lost", "503", "Lost:"},
    {"Lost", "an answer to an older attempt", "Lost:"},
    {"Lost", "tick, 1 ms later", "Lost:"},
    {"Lost", "tick, 2 s later", "Lost:"},
    {"Lost", "tick, 6 s later", "Lost:"},
    {"Lost", "tick, 10 s later", "Lost:"},
    {"Lost", "release", "Lost:"},
    // clang-format on
};

// What differs where an identity outlives its process: a dead process's term is taken at once. Nothing else:
// a leader whose own name appears by another's hand has lost all the same.
const std::vector<Row> kRowsOfAnHeir = {
    {"Observing, reading", "our name is on it, by someone else", "Acquiring: update"},
};

LeaseConfig heir() {
  LeaseConfig config = lease_config();
  config.outlives_process = true;
  return config;
}

std::vector<Row> with(const std::vector<Row>& others) {
  std::vector<Row> rows = kRows;
  for (const Row& other : others) {
    const auto same = [&](const Row& row) { return row.state == other.state && row.input == other.input; };
    std::find_if(rows.begin(), rows.end(), same)->expected = other.expected;
  }
  return rows;
}

void check_table(const LeaseConfig& config, const std::vector<Row>& rows) {
  std::set<std::pair<std::string, std::string>> covered;
  const std::map<std::string, Step> states(kStates.begin(), kStates.end());
  const std::map<std::string, Input> inputs(kInputs.begin(), kInputs.end());
  for (const Row& row : rows) {
    SCOPED_TRACE(row.state + " / " + row.input);
    LeaseBench bench(config);
    states.at(row.state)(bench);
    EXPECT_EQ(inputs.at(row.input)(bench), row.expected);
    EXPECT_TRUE(covered.emplace(row.state, row.input).second) << "the row is there twice";
    const bool leads = bench.state() == "Leading";
    EXPECT_EQ(bench.valid(), leads) << "valid in Leading, and only there";
    const bool rests = bench.state() == "Released" || bench.state() == "Lost";
    EXPECT_EQ(bench.elector.next_deadline().has_value(), !rests)
        << "no state but the final ones is without a deadline";
  }
  EXPECT_EQ(covered.size(), kStates.size() * kInputs.size()) << "a row is missing";
}

TEST(LeaseTable, EveryStateWithEveryInput) {
  check_table(lease_config(), kRows);
}

TEST(LeaseTable, EveryStateOfAnHeirWithEveryInput) {
  check_table(heir(), with(kRowsOfAnHeir));
}

}  // namespace
}  // namespace poolwarden::kube
