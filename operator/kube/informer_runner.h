// Carries a reflector's actions out over a Client. Decodes what comes on the transport's threads, and posts
// it to the loop: one input a page, one a chunk of the watch.
//
// run() and the destructor: on the loop's thread. `post` and `now` are called on threads of the transport,
// also after the runner is gone, until the transport is. What they refer to must live that long.
//
// Protobuf is asked for where the codec reads it; what came is read as what it says it is. A line (of JSON)
// or a frame (of protobuf) that cannot be read, or is longer than 16 MiB, ends the watch with an Error of the
// class kRelist. What it said is lost, so the state must be read anew. An unreadable object in a line or a
// frame does not end the watch: it is posted as unreadable. An ERROR event ends the watch with the Error it
// stands for. After such an end nothing more of that watch is posted.
#pragma once

#include "kube/client.h"
#include "kube/frame_splitter.h"
#include "kube/informer.h"
#include "kube/line_splitter.h"
#include "kube/watch_decoder.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace poolwarden::kube {

// Which objects of a type: an empty namespace means all of them.
struct WatchScope {
  std::string ns;
  std::string label_selector;
  std::string field_selector;
};

template <ObjectCodec Codec>
class InformerRunner {
 public:
  using Object = typename Codec::Object;
  using Input = InformerInput<Object>;
  using Post = std::function<void(Input)>;
  using Clock = std::function<TimePoint()>;

  InformerRunner(Client& client, const ResourceType& type, WatchScope scope, Clock now, Post post)
      : client_(client),
        type_(type),
        scope_(std::move(scope)),
        sink_(std::make_shared<const Sink>(Sink{std::move(now), std::move(post)})) {}

  void run(const std::vector<ReflectorAction>& actions) {
    for (const ReflectorAction& action : actions) {
      if (const auto* list = std::get_if<StartList>(&action)) {
        start(*list);
      } else if (const auto* watch = std::get_if<StartWatch>(&action)) {
        start(*watch);
      } else if (const auto* cancel = std::get_if<CancelStream>(&action)) {
        if (cancel->attempt == stream_attempt_) stream_.reset();
      }
      // Restarted is for the metrics of whoever owns the informer.
    }
  }

 private:
  struct Sink {
    Clock now;
    Post post;
    template <class What>
    void operator()(std::uint64_t attempt, What what) const {
      post(Input{attempt, now(), std::move(what)});
    }
  };

  class Handler final : public WatchHandler {
   public:
    Handler(Call call, std::uint64_t attempt, std::shared_ptr<const Sink> sink)
        : call_(std::move(call)), attempt_(attempt), sink_(std::move(sink)) {}

    void on_open(Encoding encoding) override {
      if (encoding == Encoding::kProtobuf) splitter_.template emplace<FrameSplitter>();
      (*sink_)(attempt_, typename Input::WatchOpened{});
    }
    void on_data(std::string_view chunk) override;
    void on_end(std::optional<Error> error) override {
      if (!over_) (*sink_)(attempt_, typename Input::WatchEnded{std::move(error)});
      over_ = true;
    }

   private:
    using Arrived = typename Input::WatchArrived;
    using Line = Result<WatchLine<Object>>;
    bool feed(LineSplitter& lines, std::string_view chunk, Arrived& out, std::optional<Error>& problem);
    bool feed(FrameSplitter& frames, std::string_view chunk, Arrived& out, std::optional<Error>& problem);
    std::optional<Error> take(Line line, Arrived& out);

    Call call_;
    std::uint64_t attempt_;
    std::shared_ptr<const Sink> sink_;
    std::variant<LineSplitter, FrameSplitter> splitter_;  // by what the answer says it is
    bool over_ = false;
  };

  static constexpr Encoding kPreferred = ProtobufCodec<Codec> ? Encoding::kProtobuf : Encoding::kJson;

  static Error lost(const Call& call, std::string_view problem) {
    return Error{ErrorClass::kRelist, 0, "Unreadable", describe(call) + ": " + std::string(problem),
                 std::nullopt};
  }

  Call scoped(Verb verb) const;
  void start(const StartList& action);
  void start(const StartWatch& action);

  Client& client_;
  ResourceType type_;
  WatchScope scope_;
  std::shared_ptr<const Sink> sink_;
  std::unique_ptr<StreamHandle> stream_;
  std::uint64_t stream_attempt_ = 0;
};

template <ObjectCodec Codec>
Call InformerRunner<Codec>::scoped(Verb verb) const {
  Call call;
  call.verb = verb;
  call.type = type_;
  call.ns = scope_.ns;
  call.label_selector = scope_.label_selector;
  call.field_selector = scope_.field_selector;
  return call;
}

template <ObjectCodec Codec>
void InformerRunner<Codec>::start(const StartList& action) {
  Call call = scoped(Verb::kList);
  call.continue_token = action.continue_token;
  call.limit = action.limit;
  call.deadline = action.deadline;
  call.lane = CallLane::kAwaited;
  client_.send(call, kPreferred,
               [sink = sink_, attempt = action.attempt, what = describe(call)](Result<Body> body) {
                 if (!body) {
                   (*sink)(attempt, typename Input::ListFailed{std::move(body.error())});
                   return;
                 }
                 auto page = decode_list<Codec>(body->text, body->encoding);
                 if (page) page->bytes = body->text.size();
                 std::string().swap(
                     body->text);  // the objects are decoded: do not hold their text until the loop is done
                 if (page) {
                   (*sink)(attempt, typename Input::ListArrived{std::move(*page)});
                 } else {
                   page.error().message = what + ": " + page.error().message;
                   (*sink)(attempt, typename Input::ListFailed{std::move(page.error())});
                 }
               });
}

template <ObjectCodec Codec>
void InformerRunner<Codec>::start(const StartWatch& action) {
  Call call = scoped(Verb::kWatch);
  call.resource_version = action.resource_version;
  call.watch_timeout = action.timeout;
  call.deadline = action.deadline;
  stream_.reset();
  stream_attempt_ = action.attempt;
  stream_ = client_.watch(call, action.idle_timeout, std::make_shared<Handler>(call, action.attempt, sink_),
                          kPreferred);
}

template <ObjectCodec Codec>
void InformerRunner<Codec>::Handler::on_data(std::string_view chunk) {
  if (over_) return;
  Arrived arrived;
  std::optional<Error> problem;
  const bool fits =
      std::visit([&](auto& splitter) { return feed(splitter, chunk, arrived, problem); }, splitter_);
  if (!fits && !problem) problem = lost(call_, "an event of the watch is longer than 16 MiB");
  (*sink_)(attempt_, std::move(arrived));
  if (!problem) return;
  over_ = true;
  (*sink_)(attempt_, typename Input::WatchEnded{std::move(problem)});
}

template <ObjectCodec Codec>
bool InformerRunner<Codec>::Handler::feed(LineSplitter& lines, std::string_view chunk, Arrived& out,
                                          std::optional<Error>& problem) {
  return lines.feed(chunk, [&](std::string_view line) {
    if (!problem) problem = take(decode_watch_line<Codec>(line), out);
  });
}

template <ObjectCodec Codec>
bool InformerRunner<Codec>::Handler::feed(FrameSplitter& frames, std::string_view chunk, Arrived& out,
                                          std::optional<Error>& problem) {
  return frames.feed(chunk, [&](std::string_view frame) {
    if (!problem) problem = take(decode_watch_frame<Codec>(frame), out);
  });
}

// Appends the event; or says why the watch must end here.
template <ObjectCodec Codec>
std::optional<Error> InformerRunner<Codec>::Handler::take(Line line, Arrived& out) {
  if (!line) return lost(call_, line.error().message);
  if (const auto* failure = std::get_if<WatchFailure>(&*line)) return status_error(call_, *failure);
  if (auto* unreadable = std::get_if<UnreadableEvent>(&*line)) {
    out.unreadable.add(std::move(unreadable->key), std::move(unreadable->problem));
    // To the cache it is what a bookmark is: time went on.
    if (!unreadable->resource_version.empty()) {
      out.events.push_back({WatchEventType::kBookmark, {}, std::move(unreadable->resource_version)});
    }
    return std::nullopt;
  }
  out.events.push_back(std::get<WatchEvent<Object>>(std::move(*line)));
  return std::nullopt;
}

}  // namespace poolwarden::kube
