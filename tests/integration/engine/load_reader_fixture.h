// What the reader's tests share: a read that can be waited for.
#pragma once

#include "engine/load_reader.h"

#include <chrono>
#include <future>
#include <memory>
#include <utility>

#include <gtest/gtest.h>

namespace poolwarden::engine {

using Answer = tl::expected<Load, std::string>;
using FullAnswer = tl::expected<Load, NoLoad>;

constexpr std::chrono::seconds kLong{20};  // that no test waits for unless it fails

// The servers of these tests are on this machine.
inline LoadReaderOptions on_loopback() {
  LoadReaderOptions options;
  options.allow_loopback = true;
  return options;
}

inline Answer in_words(FullAnswer answer) {
  if (answer) return *answer;
  return tl::unexpected(std::move(answer.error().why));
}

inline std::future<Answer> begin_read(LoadReader& reader, LoadRequest request) {
  auto promise = std::make_shared<std::promise<Answer>>();  // a second callback would throw, and end the test
  reader.read(std::move(request),
              [promise](FullAnswer answer) { promise->set_value(in_words(std::move(answer))); });
  return promise->get_future();
}

inline Answer result_of(std::future<Answer> read) {
  if (read.wait_for(kLong) != std::future_status::ready) {
    ADD_FAILURE() << "no callback";
    return tl::unexpected(std::string("no callback"));
  }
  return read.get();
}

inline Answer read_now(LoadReader& reader, LoadRequest request) {
  return result_of(begin_read(reader, std::move(request)));
}

}  // namespace poolwarden::engine
