// The threads on which exchanges run and callbacks are made, so that no callback holds up the network.
//
// They are the process's: cpprestsdk may report on a request after its transport is gone. At the end of the
// process they stop first (stop_at_exit), then cpprestsdk's thread, and what it still reports goes nowhere.
// Any thread.
#pragma once

#include <cstddef>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_service.hpp>

namespace poolwarden::kube {

class CallbackThreads {
 public:
  // The first call decides how many there are, at least one. Throws std::system_error if they cannot be made.
  static CallbackThreads& start(std::size_t count);
  // To be called after whatever reports here has started.
  void stop_at_exit();
  boost::asio::io_service& service() { return service_; }

  CallbackThreads(const CallbackThreads&) = delete;
  CallbackThreads& operator=(const CallbackThreads&) = delete;

 private:
  explicit CallbackThreads(std::size_t count);
  ~CallbackThreads();
  void stop();

  boost::asio::io_service service_;
  boost::asio::executor_work_guard<boost::asio::io_service::executor_type> work_;
  std::vector<std::jthread> threads_;
};

}  // namespace poolwarden::kube
