#include "support/sim/sim_transport.h"

#include "support/apiserver/failure.h"
#include "support/apiserver/request.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

namespace poolwarden::sim {
namespace {

using apiserver::FaultKind;

constexpr std::string_view kHtmlPage = "<html><body><h1>502 Bad Gateway</h1></body></html>\n";

kube::TransportError error(kube::TransportFailure kind, std::string message) {
  return {kind, std::move(message)};
}

kube::Duration seconds(double count) {
  return std::chrono::duration_cast<kube::Duration>(std::chrono::duration<double>(count));
}

kube::HttpResponse refusal(int code, std::string reason, std::string message) {
  apiserver::Failure failure;
  failure.code = code;
  failure.reason = std::move(reason);
  failure.message = std::move(message);
  return apiserver::to_response(failure);
}

// The answer a fault gives in place of the server's, if it gives one.
std::optional<kube::HttpResponse> faulty_answer(const apiserver::FaultRule& fault) {
  switch (fault.kind) {
    case FaultKind::kGoneAtConnect:
      return refusal(410, "Expired", "too old resource version");
    case FaultKind::kConflict:
      return refusal(409, "Conflict", "the object has been modified");
    case FaultKind::kTooManyRequests: {
      auto answer = refusal(429, "TooManyRequests", "too many requests, please try again later");
      answer.retry_after = std::chrono::seconds(static_cast<std::int64_t>(std::max(1.0, fault.seconds)));
      return answer;
    }
    case FaultKind::kInternalError:
      return refusal(500, "InternalError", "etcdserver: request timed out");
    case FaultKind::kUnavailable:
      return refusal(503, "ServiceUnavailable", "the server is currently unable to handle the request");
    case FaultKind::kHtml:
      return kube::HttpResponse{502, std::nullopt, "text/html", std::string(kHtmlPage)};
    case FaultKind::kGarbage:
      return kube::HttpResponse{200, std::nullopt, "application/json",
                                R"({"kind":"PodList","items":[{"meta)"};
    default:
      return std::nullopt;
  }
}

}  // namespace

struct SimTransport::Stream {
  std::uint64_t id = 0;
  kube::HttpRequest request;
  std::shared_ptr<kube::StreamHandler> handler;
  kube::Duration idle{};
  kube::TimePoint last_data{};
  apiserver::WatchCursor cursor;
  std::optional<apiserver::FaultRule> shape;  // a fault in how the bytes travel
  bool pump_due = false;
  bool over = false;
};

struct SimTransport::Handle final : kube::StreamHandle {
  Handle(SimTransport& owner, StreamPtr of) : transport(owner), alive(owner.alive_), stream(std::move(of)) {}
  ~Handle() override {
    if (!*alive) return;
    transport.later({}, [this_transport = &transport, kept = stream] {
      this_transport->end(kept, error(kube::TransportFailure::kCancelled, "cancelled"));
    });
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  SimTransport& transport;
  std::shared_ptr<bool> alive;
  StreamPtr stream;
};

SimTransport::SimTransport(VirtualTime& time, apiserver::Model& model, SimNetwork& network,
                           kube::RandomSource random, std::string user)
    : time_(time), model_(model), network_(network), random_(std::move(random)), user_(std::move(user)) {}

SimTransport::~SimTransport() {
  *alive_ = false;
}

void SimTransport::later(kube::Duration delay, std::function<void()> work) {
  time_.after(delay, [alive = alive_, work = std::move(work)] {
    if (*alive) work();
  });
}

kube::Duration SimTransport::one_way() {
  return network_.latency + std::chrono::duration_cast<kube::Duration>(network_.latency * random_());
}

apiserver::FaultSubject SimTransport::note(const kube::HttpRequest& request, SimNetwork::Request& storage) {
  const auto parsed = apiserver::parse_request(request);
  storage.verb = parsed.verb;
  storage.resource = parsed.plural + (parsed.subresource.empty() ? "" : "/" + parsed.subresource);
  storage.name = parsed.name;
  network_.requests.push_back(storage);
  return {storage.verb, storage.resource, {}, storage.name, user_};
}

void SimTransport::send(kube::HttpRequest request, Callback done) {
  auto callback = std::make_shared<Callback>(std::move(done));
  // The deadline, for whatever never comes back.
  later(request.deadline, [this, callback] {
    answer(callback, tl::unexpected(error(kube::TransportFailure::kTimeout, "no answer in time")), {});
  });
  // What has been sent arrives, also after its sender was killed.
  time_.after(one_way(), [this, alive = alive_, request = std::move(request), callback, &network = network_,
                          &model = model_, &time = time_, user = user_] {
    if (*alive) return arrive(request, callback);
    if (!network.down && !network.silent) model.handle(request, time.now().wall, {user, "poolwarden"});
  });
}

// At the server.
void SimTransport::arrive(const kube::HttpRequest& request, const std::shared_ptr<Callback>& done) {
  if (network_.down) {
    return answer(done, tl::unexpected(error(kube::TransportFailure::kConnect, "connection refused")),
                  one_way());
  }
  if (network_.silent) return;
  SimNetwork::Request storage;
  const auto fault = network_.faults.strike(note(request, storage));
  if (fault) {
    if (auto instead = faulty_answer(*fault)) return answer(done, std::move(*instead), one_way());
    const auto cut = tl::unexpected(error(kube::TransportFailure::kCut, "the connection was closed"));
    switch (fault->kind) {
      case FaultKind::kDropConnection:
        return answer(done, cut, one_way());
      case FaultKind::kLostAnswer:
        model_.handle(request, time_.now().wall, {user_, "poolwarden"});
        return answer(done, cut, one_way());
      case FaultKind::kStall:
        return;
      case FaultKind::kDelayBefore:
        return later(seconds(fault->seconds),
                     [this, request, done] { answer(done, handled(request), one_way()); });
      case FaultKind::kDelayAfter:
        return answer(done, handled(request), seconds(fault->seconds));
      default:
        break;  // a fault of streams
    }
  }
  answer(done, handled(request), one_way());
}

kube::HttpResponse SimTransport::handled(const kube::HttpRequest& request) {
  const auto now = time_.now().wall;
  kube::HttpResponse response = model_.handle(request, now, {user_, "poolwarden"});
  response.date = std::chrono::floor<std::chrono::seconds>(now);
  return response;
}

// The first answer is the one that counts; the deadline's comes after it, or an answer after the deadline.
void SimTransport::answer(const std::shared_ptr<Callback>& done,
                          tl::expected<kube::HttpResponse, kube::TransportError> what, kube::Duration delay) {
  later(delay, [this, done, what = std::move(what)]() mutable {
    if (!*done) return;
    // What went out before a connection broke may be lost on its way back.
    if (what && network_.silent) return;
    if (what && network_.down) what = tl::unexpected(error(kube::TransportFailure::kCut, "connection reset"));
    const Callback callback = std::exchange(*done, nullptr);
    callback(std::move(what));
  });
}

std::unique_ptr<kube::StreamHandle> SimTransport::stream(kube::HttpRequest request,
                                                         std::chrono::milliseconds idle_timeout,
                                                         std::shared_ptr<kube::StreamHandler> handler) {
  auto stream = std::make_shared<Stream>();
  stream->id = ++last_stream_;
  stream->request = std::move(request);
  stream->handler = std::move(handler);
  stream->idle = idle_timeout;
  stream->last_data = time_.now().mono;
  streams_.emplace(stream->id, stream);
  watch_silence(stream);
  later(one_way(), [this, stream] { open(stream); });
  return std::make_unique<Handle>(*this, stream);
}

void SimTransport::open(const StreamPtr& stream) {
  if (stream->over || network_.silent) return;
  if (network_.down) return end(stream, error(kube::TransportFailure::kConnect, "connection refused"));
  SimNetwork::Request storage;
  if (const auto fault = network_.faults.strike(note(stream->request, storage))) {
    if (open_faulty(stream, *fault)) return;
  }
  auto opened = model_.open_watch(stream->request, time_.now().wall, {user_, "poolwarden"});
  if (auto* refused = std::get_if<kube::HttpResponse>(&opened)) {
    stream->handler->on_head(*refused);
    return end(stream, std::nullopt);
  }
  stream->cursor = std::get<apiserver::WatchCursor>(std::move(opened));
  stream->last_data = time_.now().mono;
  stream->handler->on_head({200, std::nullopt, "application/json", {}});
  schedule_pump(stream, {});
}

// True if the fault takes the place of the watch.
bool SimTransport::open_faulty(const StreamPtr& stream, const apiserver::FaultRule& fault) {
  const kube::HttpResponse ok{200, std::nullopt, "application/json", {}};
  const auto gone =
      R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}})";
  const auto broken =
      R"({"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError","message":"x"}})";
  switch (fault.kind) {
    case FaultKind::kEmptyStream:
      stream->handler->on_head(ok);
      end(stream, std::nullopt);
      return true;
    case FaultKind::kGoneInStream:
    case FaultKind::kErrorInStream:
      stream->handler->on_head(ok);
      stream->handler->on_data(std::string(fault.kind == FaultKind::kGoneInStream ? gone : broken) + "\n");
      end(stream, std::nullopt);
      return true;
    case FaultKind::kGarbage:
      stream->handler->on_head(ok);
      stream->handler->on_data("{\"type\":\"MODIFIED\",\"object\":{\"meta\n");
      return true;
    case FaultKind::kHugeLine: {
      stream->handler->on_head(ok);
      const std::string piece(1 << 20, 'x');
      for (int i = 0; i < 20 && !stream->over; ++i) stream->handler->on_data(piece);
      return true;
    }
    case FaultKind::kStall:
      stream->handler->on_head(ok);
      return true;
    case FaultKind::kDropConnection:
      end(stream, error(kube::TransportFailure::kCut, "the connection was closed"));
      return true;
    case FaultKind::kSplit:
    case FaultKind::kCut:
      stream->shape = fault;
      return false;
    default:
      break;
  }
  if (auto instead = faulty_answer(fault)) {
    stream->handler->on_head(*instead);
    end(stream, std::nullopt);
    return true;
  }
  return false;
}

void SimTransport::changed() {
  for (const auto& [id, stream] : streams_) schedule_pump(stream, one_way());
}

void SimTransport::schedule_pump(const StreamPtr& stream, kube::Duration delay) {
  if (stream->over || stream->pump_due || !stream->cursor) return;
  stream->pump_due = true;
  later(delay, [this, stream] {
    stream->pump_due = false;
    pump(stream);
  });
}

void SimTransport::pump(const StreamPtr& stream) {
  if (stream->over || network_.silent) return;
  const auto read = model_.read(*stream->cursor, time_.now().wall);
  if (!read.bytes.empty()) deliver(stream, read.bytes);
  if (stream->over) return;
  if (read.ended) return end(stream, std::nullopt);
  // Its next bookmark or its end.
  const auto due = model_.next_deadline(*stream->cursor) - time_.now().wall;
  later(std::chrono::duration_cast<kube::Duration>(due), [this, stream] { schedule_pump(stream, {}); });
}

void SimTransport::deliver(const StreamPtr& stream, const std::string& bytes) {
  stream->last_data = time_.now().mono;
  if (stream->shape && stream->shape->kind == FaultKind::kCut) {
    stream->handler->on_data(std::string_view(bytes).substr(0, bytes.size() / 2));
    return end(stream, error(kube::TransportFailure::kCut, "the connection was closed"));
  }
  const std::size_t step = stream->shape ? std::max<std::size_t>(1, stream->shape->bytes) : bytes.size();
  for (std::size_t at = 0; at < bytes.size() && !stream->over; at += step) {
    stream->handler->on_data(std::string_view(bytes).substr(at, step));
  }
}

void SimTransport::cut() {
  const auto streams = streams_;
  for (const auto& [id, stream] : streams)
    end(stream, error(kube::TransportFailure::kCut, "connection reset"));
}

void SimTransport::end(const StreamPtr& stream, std::optional<kube::TransportError> error) {
  if (std::exchange(stream->over, true)) return;
  stream->cursor.reset();
  streams_.erase(stream->id);
  stream->handler->on_end(std::move(error));
}

void SimTransport::watch_silence(const StreamPtr& stream) {
  const auto due = stream->last_data + stream->idle;
  if (time_.now().mono >= due) {
    return end(stream, error(kube::TransportFailure::kTimeout, "nothing came for too long"));
  }
  later(due - time_.now().mono, [this, stream] {
    if (!stream->over) watch_silence(stream);
  });
}

}  // namespace poolwarden::sim
