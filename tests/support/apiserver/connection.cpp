// One connection: reads requests, decides what goes wrong with them, and answers.
#include "support/apiserver/failure.h"
#include "support/apiserver/json_util.h"
#include "support/apiserver/request.h"
#include "support/apiserver/sender.h"
#include "support/apiserver/server_impl.h"
#include "support/apiserver/wire.h"

#include <poll.h>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

namespace http = boost::beast::http;

constexpr std::uint64_t kMaxReadBody = 16u << 20;
constexpr std::uint32_t kMaxHeader = 64u << 10;
constexpr std::uint64_t kHugeLine = 100'000'000;

struct Incoming {
  kube::HttpRequest request;
  RequestInfo info;
  std::string authorization;
  bool keep_alive = true;
};

std::optional<kube::HttpMethod> method_of(http::verb verb) {
  switch (verb) {
    case http::verb::get:
      return kube::HttpMethod::kGet;
    case http::verb::post:
      return kube::HttpMethod::kPost;
    case http::verb::put:
      return kube::HttpMethod::kPut;
    case http::verb::patch:
      return kube::HttpMethod::kPatch;
    case http::verb::delete_:
      return kube::HttpMethod::kDelete;
    default:
      return std::nullopt;
  }
}

// Nothing: the connection is at its end, or spoke no HTTP.
std::optional<Incoming> read_request(Wire& wire, boost::beast::flat_buffer& buffer) {
  http::request_parser<http::string_body> parser;
  parser.body_limit(kMaxReadBody);
  parser.header_limit(kMaxHeader);
  boost::system::error_code error;
  http::read(wire, buffer, parser, error);
  if (error) return std::nullopt;
  const auto& message = parser.get();
  const std::optional<kube::HttpMethod> method = method_of(message.method());
  if (!method) return std::nullopt;
  Incoming out;
  out.request.method = *method;
  out.request.target = std::string(message.target());
  out.request.body = message.body();
  out.request.content_type = std::string(message[http::field::content_type]);
  out.request.accept = std::string(message[http::field::accept]);
  out.info.user_agent = std::string(message[http::field::user_agent]);
  out.authorization = std::string(message[http::field::authorization]);
  out.keep_alive = message.keep_alive();
  return out;
}

bool peer_gone(int descriptor) {
  pollfd poller{descriptor, POLLRDHUP, 0};
  return ::poll(&poller, 1, 0) > 0 && (poller.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

kube::HttpResponse text_response(int status, std::string_view text,
                                 std::string_view type = "text/plain; charset=utf-8") {
  kube::HttpResponse response;
  response.status = status;
  response.content_type = type;
  response.body = text;
  return response;
}

// The faults that are an answer of their own.
std::optional<kube::HttpResponse> false_answer(const FaultRule& fault, const ParsedRequest& parsed) {
  const Subject subject{parsed.group, parsed.plural, parsed.plural, parsed.name};
  switch (fault.kind) {
    case FaultKind::kGoneAtConnect:
      return to_response(too_old(1, 2));
    case FaultKind::kConflict:
      return to_response(stale_object(subject));
    case FaultKind::kTooManyRequests:
      return to_response(
          too_many_requests("The server is currently handling too many requests, please try again later.",
                            static_cast<int>(fault.seconds)));
    case FaultKind::kInternalError:
      return to_response({500, "InternalError", "Internal error occurred: a fault was asked for"});
    case FaultKind::kUnavailable: {
      Failure failure{503, "ServiceUnavailable", "the server is currently unable to handle the request"};
      if (fault.seconds > 0) failure.details["retryAfterSeconds"] = static_cast<int>(fault.seconds);
      return to_response(failure);
    }
    case FaultKind::kHtml:
      return text_response(502, "<html><body><h1>502 Bad Gateway</h1></body></html>\n", "text/html");
    default:
      return std::nullopt;
  }
}

std::string error_event(const Failure& failure) {
  return json{{"type", "ERROR"}, {"object", status_object(failure)}}.dump() + "\n";
}

class Session {
 public:
  Session(Server::Impl& server, Wire& wire, int descriptor)
      : server_(server), wire_(wire), descriptor_(descriptor) {}

  void run() {
    boost::beast::flat_buffer buffer;
    while (std::optional<Incoming> incoming = read_request(wire_, buffer)) {
      ++server_.served;
      if (!serve(*incoming) || !incoming->keep_alive) return;
    }
  }

 private:
  bool serve(Incoming& incoming);
  bool serve_api(Incoming& incoming, const ParsedRequest& parsed);
  bool serve_watch(const Incoming& incoming, const std::optional<FaultRule>& fault);
  bool stream(Sender& sender, Watch& watch);
  bool begin_badly(Sender& sender, const FaultRule& fault, bool& over);
  bool huge_line(Sender& sender, std::uint64_t bytes);
  bool serve_log(const ParsedRequest& parsed, const std::optional<FaultRule>& fault);
  kube::HttpResponse faults_request(const Incoming& incoming);
  std::optional<std::string> one_fault(const json& rule);
  std::optional<Failure> authenticate(Incoming& incoming);

  Sender sender(std::optional<FaultRule> fault) {
    return {wire_, std::move(fault), [this](double seconds) { return wait_for_peer(seconds); }};
  }
  // Waits; false when the server stops or the client has gone.
  bool wait_for_peer(double seconds) {
    for (double left = seconds; left > 0; left -= 0.1) {
      if (!server_.pause(std::min(left, 0.1)) || peer_gone(descriptor_)) return false;
    }
    return true;
  }

  Server::Impl& server_;
  Wire& wire_;
  int descriptor_;
};

std::optional<Failure> Session::authenticate(Incoming& incoming) {
  constexpr std::string_view kBearer = "Bearer ";
  if (incoming.authorization.starts_with(kBearer)) {
    const auto found = server_.options.tokens.find(incoming.authorization.substr(kBearer.size()));
    if (found == server_.options.tokens.end()) return Failure{401, "Unauthorized", "Unauthorized"};
    incoming.info.user = found->second;
    return std::nullopt;
  }
  if (!server_.options.tls) return std::nullopt;
  incoming.info.user = wire_.peer_name();
  if (incoming.info.user.empty()) return Failure{401, "Unauthorized", "Unauthorized"};
  return std::nullopt;
}

std::optional<std::string> Session::one_fault(const json& rule) {
  if (bool_at(rule, {"drop_connections"})) {
    server_.drop_connections();
    return std::nullopt;
  }
  if (bool_at(rule, {"compact"})) {
    const std::lock_guard lock(server_.mutex);
    server_.model.compact();
    return std::nullopt;
  }
  if (const json* seconds = find_path(rule, {"refuse_seconds"}); seconds != nullptr && seconds->is_number()) {
    const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::duration<double>(seconds->get<double>()));
    server_.refuse_for(time);
    return std::nullopt;
  }
  tl::expected<FaultRule, std::string> parsed = parse_fault_rule(rule);
  if (!parsed) return parsed.error();
  const std::lock_guard lock(server_.mutex);
  server_.faults.add(std::move(*parsed));
  return std::nullopt;
}

kube::HttpResponse Session::faults_request(const Incoming& incoming) {
  if (incoming.request.method == kube::HttpMethod::kDelete) {
    const std::lock_guard lock(server_.mutex);
    server_.faults.clear();
  } else if (incoming.request.method == kube::HttpMethod::kPost) {
    const std::optional<json> body = parse_json(incoming.request.body);
    if (!body) return text_response(400, "the body is not JSON\n");
    const json rules = body->is_array() ? *body : json::array({*body});
    for (const json& rule : rules) {
      if (auto wrong = one_fault(rule)) return text_response(400, *wrong + "\n");
    }
  }
  const std::lock_guard lock(server_.mutex);
  return json_response(200, server_.faults.to_json().dump() + "\n");
}

bool Session::serve(Incoming& incoming) {
  const ParsedRequest parsed = parse_request(incoming.request);
  if (parsed.path == "/healthz" || parsed.path == "/livez" || parsed.path == "/readyz") {
    return sender(std::nullopt).answer(text_response(200, "ok"));
  }
  if (parsed.path == "/faults") return sender(std::nullopt).answer(faults_request(incoming));
  if (auto refused = authenticate(incoming)) return sender(std::nullopt).answer(to_response(*refused));
  return serve_api(incoming, parsed);
}

// An older list is asked for by its resourceVersion; how the model sees it, and how the client does.
void make_stale(kube::HttpRequest& request, const ParsedRequest& parsed, std::uint64_t revision,
                std::uint64_t behind) {
  if (parsed.verb != "list" || !parsed.option("continue").empty()) return;
  std::string query;
  for (const auto& [key, value] : parsed.query) {
    if (key == "resourceVersion" || key == "resourceVersionMatch") continue;
    query += key + "=";
    for (char c : value) query += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    query += "&";
  }
  request.target = fmt::format("{}?{}resourceVersion={}&resourceVersionMatch=Exact", parsed.path, query,
                               revision - std::min(behind, revision - 1));
}

bool Session::serve_api(Incoming& incoming, const ParsedRequest& parsed) {
  const std::string resource = !parsed.resource             ? parsed.path
                               : parsed.subresource.empty() ? parsed.plural
                                                            : parsed.plural + "/" + parsed.subresource;
  std::optional<FaultRule> fault;
  {
    const std::lock_guard lock(server_.mutex);
    const std::string verb = parsed.resource ? parsed.verb : "get";
    fault = server_.faults.strike({verb, resource, parsed.ns, parsed.name, incoming.info.user});
    if (fault && fault->kind == FaultKind::kStaleList) {
      make_stale(incoming.request, parsed, server_.model.revision(), fault->bytes);
    }
  }
  if (fault) {
    if (fault->kind == FaultKind::kDropConnection) return false;
    if (fault->kind == FaultKind::kDelayBefore && !wait_for_peer(fault->seconds)) return false;
    if (auto instead = false_answer(*fault, parsed)) return sender(std::nullopt).answer(*instead);
  }
  if (parsed.resource && parsed.verb == "watch") return serve_watch(incoming, fault);
  if (parsed.plural == "pods" && parsed.subresource == "log" && parsed.verb == "get")
    return serve_log(parsed, fault);
  if (fault && fault->kind == FaultKind::kGarbage) {
    return sender(std::nullopt).answer(json_response(200, "{\"kind\":\"List\",\"items\":[{\"metadata\":"));
  }
  if (fault && fault->kind == FaultKind::kHugeLine) {
    Sender out = sender(std::nullopt);
    return out.begin_stream("application/json") && huge_line(out, fault->bytes) && out.end_stream();
  }
  const kube::HttpResponse response = server_.handle(incoming.request, incoming.info);
  if (fault && fault->kind == FaultKind::kLostAnswer) return false;
  if (fault && fault->kind == FaultKind::kDelayAfter && !wait_for_peer(fault->seconds)) return false;
  return sender(fault).answer(response);
}

bool Session::huge_line(Sender& sender, std::uint64_t bytes) {
  std::uint64_t left = bytes > 0 ? bytes : kHugeLine;
  if (!sender.chunk(R"({"type":"ADDED","object":{"metadata":{"name":")")) return false;
  const std::string block(64u << 10, 'x');
  while (left > 0) {
    const std::uint64_t size = std::min<std::uint64_t>(left, block.size());
    if (!sender.chunk(std::string_view(block).substr(0, size))) return false;
    left -= size;
  }
  return sender.chunk("\"}}}\n");
}

// The faults at the begin of a stream. `over`: the stream has ended with them.
bool Session::begin_badly(Sender& sender, const FaultRule& fault, bool& over) {
  switch (fault.kind) {
    case FaultKind::kEmptyStream:
      over = true;
      return sender.end_stream();
    case FaultKind::kGoneInStream:
      over = true;
      return sender.chunk(error_event(too_old(1, 2))) && sender.end_stream();
    case FaultKind::kErrorInStream:
      over = true;
      return sender.chunk(
                 error_event({500, "InternalError", "Internal error occurred: a fault was asked for"})) &&
             sender.end_stream();
    case FaultKind::kGarbage:
      return sender.chunk("{\"type\":\"ADDED\",\"object\":{\"kind\":\n");
    case FaultKind::kHugeLine:
      return huge_line(sender, fault.bytes);
    default:
      return true;
  }
}

bool Session::serve_watch(const Incoming& incoming, const std::optional<FaultRule>& fault) {
  std::variant<WatchCursor, kube::HttpResponse> opened;
  {
    const std::lock_guard lock(server_.mutex);
    opened = server_.model.open_watch(incoming.request, server_.now(), incoming.info);
  }
  Sender out = sender(fault);
  if (const auto* refusal = std::get_if<kube::HttpResponse>(&opened)) return out.answer(*refusal);
  if (fault && fault->kind == FaultKind::kLostAnswer) return false;
  if (fault && fault->kind == FaultKind::kDelayAfter && !wait_for_peer(fault->seconds)) return false;
  if (!out.begin_stream("application/json")) return false;
  bool over = false;
  if (fault && !begin_badly(out, *fault, over)) return false;
  return over || stream(out, *std::get<WatchCursor>(opened));
}

bool Session::stream(Sender& sender, Watch& watch) {
  while (true) {
    WatchRead news;
    {
      std::unique_lock lock(server_.mutex);
      while (true) {
        const Timestamp now = server_.now();
        if (server_.stopping || peer_gone(descriptor_)) return false;
        if (server_.model.readable(watch, now)) {
          news = server_.model.read(watch, now);
          break;
        }
        // Woken by any change; now and then to see whether the client is still there.
        server_.changed.wait_until(
            lock, std::min(server_.model.next_deadline(watch), now + std::chrono::milliseconds(500)) -
                      server_.options.clock_ahead);
      }
    }
    if (!sender.chunk(news.bytes)) return false;
    if (news.ended) return sender.end_stream();
  }
}

bool Session::serve_log(const ParsedRequest& parsed, const std::optional<FaultRule>& fault) {
  LogHandler handler;
  bool exists = false;
  {
    const std::lock_guard lock(server_.mutex);
    handler = server_.log_handler;
    exists = server_.model.find(kube::kPods, parsed.ns, parsed.name) != nullptr;
  }
  Sender out = sender(fault);
  if (!exists) return out.answer(to_response(not_found({"", "pods", "Pod", parsed.name})));
  LogRequest request{parsed.ns,
                     parsed.name,
                     parsed.option("container"),
                     parsed.flag("follow"),
                     parsed.flag("previous"),
                     parsed.flag("timestamps"),
                     parsed.number("tailLines")};
  bool begun = false;
  bool alive = true;
  const LogWriter write = [&](std::string_view bytes) {
    if (alive && !begun) {
      begun = true;
      alive = out.begin_stream("text/plain");
    }
    alive = alive && !peer_gone(descriptor_) && out.chunk(bytes);
    return alive;
  };
  const tl::expected<void, std::string> done =
      handler ? handler(request, write)
              : tl::unexpected(std::string("there is no kubelet here to read logs from"));
  if (begun) return alive && out.end_stream();
  return out.answer(done ? text_response(200, "") : to_response(bad_request(done.error())));
}

}  // namespace

void Server::Impl::serve(Connection& connection) {
  {
    const std::unique_ptr<Wire> wire =
        options.tls ? tls_wire(connection.socket, contexts.at(certificate)) : plain_wire(connection.socket);
    if (wire->handshake()) Session(*this, *wire, connection.socket.native_handle()).run();
  }
  const std::lock_guard lock(connections_mutex);
  boost::system::error_code ignored;
  connection.socket.close(ignored);
  connection.done = true;
}

}  // namespace poolwarden::apiserver
