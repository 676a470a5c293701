#include "support/cluster/log_buffer.h"

#include <algorithm>
#include <utility>

namespace poolwarden::cluster {
namespace {

constexpr std::size_t kMaxLine = 64U << 10U;
constexpr std::size_t kMaxBytes = 4U << 20U;
constexpr std::size_t kMaxPods = 1000;

}  // namespace

void LogBuffer::push_line(std::string text, api::Timestamp now) {
  bytes_ += text.size();
  lines_.push_back({now, std::move(text)});
  while (bytes_ > kMaxBytes && lines_.size() > 1) {
    bytes_ -= lines_.front().text.size();
    lines_.pop_front();
    ++first_;
  }
}

void LogBuffer::append(std::string_view bytes, api::Timestamp now) {
  {
    const std::lock_guard lock(mutex_);
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      partial_ += bytes.substr(0, end);
      bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
      if (end != std::string_view::npos || partial_.size() >= kMaxLine) {
        push_line(std::exchange(partial_, {}), now);
      }
    }
  }
  grown_.notify_all();
}

void LogBuffer::close() {
  {
    const std::lock_guard lock(mutex_);
    if (!partial_.empty())
      push_line(std::exchange(partial_, {}), lines_.empty() ? api::Timestamp{} : lines_.back().at);
    closed_ = true;
  }
  grown_.notify_all();
}

std::uint64_t LogBuffer::end() const {
  const std::lock_guard lock(mutex_);
  return first_ + lines_.size();
}

std::uint64_t LogBuffer::tail(std::uint64_t count) const {
  const std::lock_guard lock(mutex_);
  return first_ + lines_.size() - std::min<std::uint64_t>(count, lines_.size());
}

LogBuffer::Read LogBuffer::read(std::uint64_t from, std::chrono::milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  grown_.wait_for(lock, timeout, [&] { return closed_ || first_ + lines_.size() > from; });
  Read result;
  const std::uint64_t skip = from > first_ ? std::min<std::uint64_t>(from - first_, lines_.size()) : 0;
  result.lines.assign(lines_.begin() + static_cast<std::ptrdiff_t>(skip), lines_.end());
  result.next = first_ + lines_.size();
  result.closed = closed_;
  return result;
}

std::shared_ptr<LogBuffer> LogStore::open(const std::string& ns, const std::string& pod,
                                          const std::string& container) {
  const std::lock_guard lock(mutex_);
  const Key key{ns, pod};
  const auto [it, is_new] = pods_.try_emplace(key);
  if (is_new) by_age_.push_back(key);
  std::vector<Runs>& runs = it->second;
  auto found =
      std::find_if(runs.begin(), runs.end(), [&](const Runs& each) { return each.container == container; });
  if (found == runs.end()) found = runs.insert(runs.end(), Runs{container, nullptr, nullptr});
  found->previous = std::move(found->current);
  found->current = std::make_shared<LogBuffer>();
  std::shared_ptr<LogBuffer> opened = found->current;
  while (by_age_.size() > kMaxPods) {
    pods_.erase(by_age_.front());
    by_age_.pop_front();
  }
  return opened;
}

std::shared_ptr<LogBuffer> LogStore::find(const std::string& ns, const std::string& pod,
                                          const std::string& container, Which which) const {
  const std::lock_guard lock(mutex_);
  const auto it = pods_.find({ns, pod});
  if (it == pods_.end()) return nullptr;
  for (const Runs& each : it->second) {
    if (container.empty() || each.container == container) {
      return which == Which::kCurrent ? each.current : each.previous;
    }
  }
  return nullptr;
}

}  // namespace poolwarden::cluster
