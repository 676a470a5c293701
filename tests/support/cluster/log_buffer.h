// What containers have written, kept in memory for `kubectl logs`: the last few MiB of each.
//
// Thread-safe: the runtime's thread appends, connections of the API server read and follow.
#pragma once

#include "api/time.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::cluster {

// The output of one run of one container.
class LogBuffer {
 public:
  struct Line {
    api::Timestamp at;
    std::string text;  // without its end; a line longer than 64 KiB comes in pieces
  };

  void append(std::string_view bytes, api::Timestamp now);
  void close();  // nothing more comes: followers end

  // The number that the next line will have; lines are numbered from 0.
  std::uint64_t end() const;
  // Where to begin to read for the last `count` lines.
  std::uint64_t tail(std::uint64_t count) const;

  struct Read {
    std::vector<Line> lines;
    std::uint64_t next = 0;
    bool closed = false;  // and nothing is left
  };
  // The lines from `from` on that are still kept. Waits for one, for at most `timeout`.
  Read read(std::uint64_t from, std::chrono::milliseconds timeout) const;

 private:
  void push_line(std::string text, api::Timestamp now);  // lock held

  mutable std::mutex mutex_;  // protects all below
  mutable std::condition_variable grown_;
  std::deque<Line> lines_;
  std::uint64_t first_ = 0;  // number of lines_.front()
  std::size_t bytes_ = 0;
  std::string partial_;
  bool closed_ = false;
};

// The buffers of all containers, by name; the newest and the previous run of each. Forgets the oldest pods.
class LogStore {
 public:
  std::shared_ptr<LogBuffer> open(const std::string& ns, const std::string& pod,
                                  const std::string& container);

  enum class Which : std::uint8_t { kCurrent, kPrevious };
  // Null if there is none. An empty container name means the pod's first.
  std::shared_ptr<LogBuffer> find(const std::string& ns, const std::string& pod, const std::string& container,
                                  Which which) const;

 private:
  struct Runs {
    std::string container;
    std::shared_ptr<LogBuffer> current;
    std::shared_ptr<LogBuffer> previous;
  };
  using Key = std::pair<std::string, std::string>;

  mutable std::mutex mutex_;
  std::map<Key, std::vector<Runs>> pods_;
  std::list<Key> by_age_;
};

}  // namespace poolwarden::cluster
