// How the replicas of a pool and of its target were carried over lately: whether two writers undo each other,
// and whether somebody shrank the target, maybe by accident.
//
// The pool and its target follow each other, so two programs that each want a number of their own, one here
// and one there, undo each other as fast as the API server answers. Each carrying over is slower then.
//
// Pure: time is an argument. Owned by the loop, one for each pool.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

namespace poolwarden::pool {

// To less than half, and not to none: nobody scales so by degrees.
bool is_a_fall(std::int32_t from, std::int32_t to);

class ReplicaMoves {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  struct Counts {
    std::int32_t pool = 0;    // that the pool was set to, against the target
    std::int32_t target = 0;  // and the target, against the pool
  };
  struct Fall {
    std::int32_t from = 0;
    std::int32_t to = 0;
  };

  void scaled(std::int32_t from, std::int32_t to, TimePoint now);   // the target, as the pool says
  void adopted(std::int32_t from, std::int32_t to, TimePoint now);  // by the pool, as the target says

  // What two writers want, who undid each other lately.
  std::optional<Counts> contested(TimePoint now) const;
  // For how long nothing should be carried over.
  Duration wait(TimePoint now) const;
  // Taken over from the target within the last hour; nobody has said anything else since.
  std::optional<Fall> fall(TimePoint now) const;

 private:
  enum class Side : std::uint8_t { kPool, kTarget };  // who said so
  struct Move {
    Side by = Side::kPool;
    std::int32_t from = 0;
    std::int32_t to = 0;
    TimePoint when{};
  };
  void moved(Move move);
  // How often in a row each undid what the other had said.
  int undone(TimePoint now) const;

  std::deque<Move> moves_;  // the last ones
};

}  // namespace poolwarden::pool
