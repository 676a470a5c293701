// How many bytes of metrics each namespace may make the reader take in.
//
// All answers are read by one thread. A namespace whose engines answer with very much is read on only as fast
// as its budget grows; a second's worth may be taken at once. Others do not notice.
//
// Pure: time is an argument. What is kept is bounded by the namespaces that were read within the last
// seconds.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <unordered_map>

namespace poolwarden::engine {

class ByteBudgets {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  explicit ByteBudgets(std::size_t bytes_per_second) : rate_(static_cast<double>(bytes_per_second)) {}

  // So long nothing more is to be read for the namespace; zero: go on.
  Duration wait(const std::string& ns, TimePoint now) const;
  void spend(const std::string& ns, std::size_t bytes, TimePoint now);
  std::size_t size() const { return spent_.size(); }

 private:
  // What was taken and is not earned back yet, as of a moment.
  struct Spent {
    double bytes = 0;
    TimePoint at{};
  };
  double left_of(const Spent& spent, TimePoint now) const;

  double rate_;
  std::unordered_map<std::string, Spent> spent_;
  std::size_t sweep_at_ = 64;
};

}  // namespace poolwarden::engine
