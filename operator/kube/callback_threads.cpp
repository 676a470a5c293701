#include "kube/callback_threads.h"

#include <algorithm>
#include <memory>

namespace poolwarden::kube {

CallbackThreads& CallbackThreads::start(std::size_t count) {
  static CallbackThreads instance(count);
  return instance;
}

void CallbackThreads::stop_at_exit() {
  struct Stop {
    void operator()(CallbackThreads* threads) const { threads->stop(); }
  };
  static const std::unique_ptr<CallbackThreads, Stop> first_to_end(this);
}

CallbackThreads::CallbackThreads(std::size_t count) : work_(boost::asio::make_work_guard(service_)) {
  try {
    for (std::size_t i = 0; i < std::max<std::size_t>(count, 1); ++i) {
      threads_.emplace_back([this] { service_.run(); });
    }
  } catch (...) {
    stop();
    throw;
  }
}

CallbackThreads::~CallbackThreads() {
  stop();
}

void CallbackThreads::stop() {
  service_.stop();
  threads_.clear();  // each is joined
}

}  // namespace poolwarden::kube
