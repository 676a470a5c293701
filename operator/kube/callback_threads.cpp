#include "kube/callback_threads.h"

#include <algorithm>

namespace poolwarden::kube {

boost::asio::io_service& CallbackThreads::start(std::size_t count) {
  static CallbackThreads instance(count);
  return instance.service_;
}

CallbackThreads::CallbackThreads(std::size_t count) : work_(boost::asio::make_work_guard(service_)) {
  for (std::size_t i = 0; i < std::max<std::size_t>(count, 1); ++i) {
    threads_.emplace_back([this] { service_.run(); });
  }
}

CallbackThreads::~CallbackThreads() {
  service_.stop();
}

}  // namespace poolwarden::kube
