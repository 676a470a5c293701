// The threads on which exchanges run and callbacks are made, so that no callback holds up the network.
//
// They are the process's and end with it: cpprestsdk may report on a request after its transport is gone. Any
// thread.
#pragma once

#include <cstddef>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_service.hpp>

namespace poolwarden::kube {

class CallbackThreads {
 public:
  // The first call decides how many there are, at least one. Whatever may report here has to start later, so
  // that it ends earlier.
  static boost::asio::io_service& start(std::size_t count);

  CallbackThreads(const CallbackThreads&) = delete;
  CallbackThreads& operator=(const CallbackThreads&) = delete;

 private:
  explicit CallbackThreads(std::size_t count);
  ~CallbackThreads();

  boost::asio::io_service service_;
  boost::asio::executor_work_guard<boost::asio::io_service::executor_type> work_;
  std::vector<std::jthread> threads_;  // joined first
};

}  // namespace poolwarden::kube
