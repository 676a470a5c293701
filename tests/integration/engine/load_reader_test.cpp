// The reader against servers that misbehave in every way that a pod may.
#include "engine/load_reader.h"

#include "integration/engine/load_reader_fixture.h"
#include "integration/transport/https_server.h"

#include <arpa/inet.h>
#include <atomic>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace poolwarden::engine {
namespace {

using namespace std::chrono_literals;
using test::HttpsServer;
using test::ServerConnection;
using test::ServerRequest;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::string_view kMetrics =
    "vllm:num_requests_running{engine=\"0\"} 2\nvllm:num_requests_waiting{engine=\"0\"} 1\n"
    "vllm:kv_cache_usage_perc{engine=\"0\"} 0.5\n";

HttpsServer::Options plain() {
  HttpsServer::Options options;
  options.tls = false;
  return options;
}

LoadRequest request_to(const std::vector<std::int32_t>& ports, std::chrono::milliseconds deadline = kLong) {
  LoadRequest request{"127.0.0.1", {}, deadline};
  for (const std::int32_t port : ports) request.sources.push_back({port, "/metrics", metrics_of({})});
  return request;
}

// A port of this machine on which nobody listens.
std::int32_t closed_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

std::string with_length(std::string_view body, std::size_t length, std::string_view status = "200 OK") {
  return fmt::format("HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}", status,
                     length, body);
}

struct Behaviour {
  const char* name;
  std::function<void(ServerConnection&)> answer;
  std::string told;  // part of it; empty: the load is read
  std::chrono::milliseconds deadline = kLong;
};

void PrintTo(const Behaviour& behaviour, std::ostream* out) {
  *out << behaviour.name;
}

class OneServer : public testing::TestWithParam<Behaviour> {};

TEST_P(OneServer, IsReadOrUnknown) {
  const Behaviour& behaviour = GetParam();
  SCOPED_TRACE(behaviour.name);
  HttpsServer server(plain(), [&](ServerConnection& connection, const ServerRequest&) {
    connection.close();
    behaviour.answer(connection);
  });
  LoadReader reader(on_loopback());
  const Answer answer = read_now(reader, request_to({server.port()}, behaviour.deadline));
  if (behaviour.told.empty()) {
    ASSERT_TRUE(answer) << answer.error();
    EXPECT_EQ(*answer, (Load{3, 0.5}));
    return;
  }
  ASSERT_FALSE(answer) << answer->in_flight;
  EXPECT_THAT(answer.error(), AllOf(HasSubstr(fmt::format("http://127.0.0.1:{}/metrics", server.port())),
                                    HasSubstr(behaviour.told)));
}

INSTANTIATE_TEST_SUITE_P(
    Answers, OneServer,
    testing::Values(Behaviour{"with a length",
                              [](auto& c) { c.send(with_length(kMetrics, kMetrics.size())); }, ""},
                    Behaviour{"with a length, and stays connected",
                              [](auto& c) {
                                c.send(with_length(kMetrics, kMetrics.size()));
                                c.client_gone(kLong);
                              },
                              ""},
                    Behaviour{"in chunks, cut anywhere",
                              [](auto& c) {
                                c.begin_chunked();
                                for (const char byte : kMetrics) c.chunk({&byte, 1});
                                c.end_chunks();
                              },
                              ""},
                    Behaviour{"until it closes",
                              [](auto& c) { c.send("HTTP/1.0 200 OK\r\n\r\n" + std::string(kMetrics)); }, ""},
                    Behaviour{"more than one piece",
                              [](auto& c) {
                                std::string body(kMetrics);
                                for (int i = 0; i < 20'000; ++i)
                                  body += fmt::format("other{{label=\"{}\"}} 1\n", i);
                                c.send(with_length(body, body.size()));
                              },
                              ""}));

INSTANTIATE_TEST_SUITE_P(
    Refusals, OneServer,
    testing::Values(
        Behaviour{"404", [](auto& c) { c.reply(404, "{\"detail\":\"Not Found\"}"); },
                  "answered 404; see spec.engine.metricsPort and metricsPath (vLLM has these metrics unless"},
        Behaviour{"503", [](auto& c) { c.reply(503, ""); }, "answered 503"},
        Behaviour{"204", [](auto& c) { c.send("HTTP/1.1 204 No Content\r\n\r\n"); }, "answered 204"},
        Behaviour{"a redirect", [](auto& c) { c.reply(302, "", "Location: http://127.0.0.1:1/\r\n"); },
                  "answered 302, a redirect, which is not followed"},
        Behaviour{"HTML with 200", [](auto& c) { c.send(with_length("<html></html>", 13)); },
                  "the answer is HTML and not metrics"},
        Behaviour{"metrics of another program", [](auto& c) { c.send(with_length("up 1\n", 5)); },
                  "vllm:num_requests_running is not among the metrics"},
        Behaviour{"nothing", [](auto& c) { c.send(with_length("", 0)); }, "is not among the metrics"},
        Behaviour{"no HTTP", [](auto& c) { c.send("SSH-2.0-OpenSSH_9.2\r\n"); }, "did not answer in HTTP"}));

INSTANTIATE_TEST_SUITE_P(
    Cuts, OneServer,
    testing::Values(
        Behaviour{"closes at once", [](auto&) {}, "ended the connection before its answer was complete"},
        Behaviour{"closes in the head", [](auto& c) { c.send("HTTP/1.1 200 OK\r\nContent-"); },
                  "ended the connection before"},
        Behaviour{"closes half way, at the end of a line that leaves nothing out",
                  [](auto& c) { c.send(with_length(kMetrics, kMetrics.size() + 100)); },
                  "ended the connection before"},
        Behaviour{"closes between chunks",
                  [](auto& c) {
                    c.begin_chunked();
                    c.chunk(kMetrics);
                  },
                  "ended the connection before"},
        Behaviour{"half a line, and no length to tell",
                  [](auto& c) { c.send("HTTP/1.0 200 OK\r\n\r\n" + std::string(kMetrics) + "vllm:num_req"); },
                  "end in the middle of a line"},
        Behaviour{"never answers", [](auto& c) { c.client_gone(kLong); },
                  "gave no complete answer within 200 ms", 200ms},
        Behaviour{"one byte at a time, slowly",
                  [](auto& c) {
                    for (const char byte : with_length(kMetrics, kMetrics.size())) {
                      if (!c.send({&byte, 1}) || !c.pause(50ms)) return;
                    }
                  },
                  "gave no complete answer within 300 ms", 300ms}));

INSTANTIATE_TEST_SUITE_P(
    Floods, OneServer,
    testing::Values(Behaviour{"10 MB, announced",
                              [](auto& c) { c.send(with_length(std::string(10u << 20, 'a'), 10u << 20)); },
                              "answered with more than 524288 bytes"},
                    Behaviour{"10 MB, of lines, in chunks",
                              [](auto& c) {
                                c.begin_chunked();
                                const std::string chunk(1u << 20, '\n');
                                for (int i = 0; i < 10 && c.chunk(chunk); ++i) {
                                }
                                c.end_chunks();
                              },
                              "answered with more than 524288 bytes"},
                    Behaviour{"one chunk of 1 TiB",
                              [](auto& c) {
                                c.begin_chunked();
                                c.send("10000000000\r\n");
                                while (c.send(kMetrics)) {
                                }
                              },
                              "answered with more than 524288 bytes"},
                    Behaviour{"without an end, and without a length",
                              [](auto& c) {
                                c.send("HTTP/1.0 200 OK\r\n\r\n");
                                while (c.send(kMetrics)) {
                                }
                              },
                              "answered with more than 524288 bytes"},
                    Behaviour{"small chunks whose frames are larger than they are",
                              [](auto& c) {
                                c.begin_chunked();
                                std::string chunks;
                                for (int i = 0; i < 1'000; ++i)
                                  chunks += "1;extension=of-the-chunk\r\n\n\r\n";
                                while (c.send(chunks)) {
                                }
                              },
                              "answered with more than 524288 bytes"},
                    Behaviour{"a head of many fields, one at a time",
                              [](auto& c) {
                                c.send("HTTP/1.1 200 OK\r\n");
                                for (int i = 0; i < 12; ++i) {
                                  if (!c.send("X-More: " + std::string(1'000, 'x') + "\r\n") ||
                                      !c.pause(10ms))
                                    return;
                                }
                                c.send("\r\n" + std::string(kMetrics));
                              },
                              "did not answer in HTTP that can be read"},
                    Behaviour{"a head without an end",
                              [](auto& c) {
                                c.send("HTTP/1.1 200 OK\r\n");
                                while (c.send("X-More: and more\r\n")) {
                                }
                              },
                              "did not answer in HTTP that can be read"}));

TEST(LoadReader, AsksAsAScraperDoes) {
  ServerRequest seen;
  HttpsServer server(plain(), [&](ServerConnection& connection, const ServerRequest& request) {
    seen = request;
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  LoadReader reader(on_loopback());
  LoadRequest request = request_to({server.port()});
  request.sources[0].path = "/prometheus/metrics?a=b";
  ASSERT_TRUE(read_now(reader, request));
  EXPECT_EQ(seen.method, "GET");
  EXPECT_EQ(seen.target, "/prometheus/metrics?a=b");
  EXPECT_EQ(seen.headers["host"], fmt::format("127.0.0.1:{}", server.port()));
  EXPECT_EQ(seen.headers["accept"], "text/plain;version=0.0.4");
  EXPECT_EQ(seen.headers["connection"], "close");
  EXPECT_THAT(seen.headers["user-agent"], HasSubstr("poolwarden/"));
}

TEST(LoadReader, AddsUpAllPorts) {
  HttpsServer first(plain(), [](ServerConnection& connection, const ServerRequest&) {
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  HttpsServer second(plain(), [](ServerConnection& connection, const ServerRequest&) {
    const std::string body =
        "vllm:num_requests_running 4\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 1\n";
    connection.send(with_length(body, body.size()));
  });
  LoadReader reader(on_loopback());
  const Answer answer = read_now(reader, request_to({first.port(), second.port()}));
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(*answer, (Load{7, 0.75}));
}

TEST(LoadReader, AsksEachSourceInItsOwnWords) {
  HttpsServer server(plain(), [](ServerConnection& connection, const ServerRequest& request) {
    const std::string body =
        request.target == "/mine" ? "busy 4\n" : "vllm:num_requests_running 1\nvllm:num_requests_waiting 0\n";
    connection.send(with_length(body, body.size()));
  });
  LoadReader reader(on_loopback());
  LoadRequest request = request_to({server.port()});
  request.sources.push_back({server.port(), "/mine", {{"busy"}, {}, {}, ""}});
  const Answer answer = read_now(reader, request);
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(*answer, (Load{5, {}}));
}

TEST(LoadReader, ServerLoad_CountsRequestsThatNoGaugeHas) {
  std::atomic<bool> has_load = true;
  HttpsServer server(plain(), [&](ServerConnection& connection, const ServerRequest& request) {
    if (request.target != "/load") return void(connection.send(with_length(kMetrics, kMetrics.size())));
    if (!has_load) return void(connection.reply(404, "{\"detail\":\"Not Found\"}"));
    connection.reply(200, "{\"server_load\":7}");
  });
  LoadReader reader(on_loopback());
  LoadRequest request = request_to({server.port()});
  request.sources.push_back(server_load_of(server.port()));
  Answer answer = read_now(reader, request);
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(*answer, (Load{7, 0.5}));
  has_load = false;
  answer = read_now(reader, request);
  ASSERT_FALSE(answer) << "the pool counts on it";
  EXPECT_THAT(
      answer.error(),
      HasSubstr("/load answered 404; see spec.engine.serverLoad (vLLM says there what it has taken in"));
}

TEST(LoadReader, ServerLoadThatIsLong_IsNotRead) {
  HttpsServer server(plain(), [](ServerConnection& connection, const ServerRequest&) {
    connection.reply(200, "{\"server_load\":7}" + std::string(kMaxServerLoad, ' '));
  });
  LoadReader reader(on_loopback());
  LoadRequest request = request_to({});
  request.sources.push_back(server_load_of(server.port()));
  EXPECT_THAT(read_now(reader, request).error(), HasSubstr("answered with more than 4096 bytes"));
}

TEST(LoadReader, KnowsNothingWhenOnePortOfSeveralCannotBeRead) {
  HttpsServer server(plain(), [](ServerConnection& connection, const ServerRequest&) {
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  HttpsServer cuts(plain(), [](ServerConnection& connection, const ServerRequest&) { connection.close(); });
  LoadReader reader(on_loopback());
  const Answer answer = read_now(reader, request_to({server.port(), cuts.port(), closed_port()}));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error(),
              HasSubstr(fmt::format("http://127.0.0.1:{}/metrics ended the connection", cuts.port())));
}

TEST(LoadReader, PortThatRefuses_HasNothingInFlight) {
  HttpsServer server(plain(), [](ServerConnection& connection, const ServerRequest&) {
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  LoadReader reader(on_loopback());
  const Answer answer = read_now(reader, request_to({closed_port(), server.port(), closed_port()}));
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(*answer, (Load{3, 0.5}));
}

TEST(LoadReader, AllPortsRefuse_IsUnknownAndToldApart) {
  LoadReader reader(on_loopback());
  const std::int32_t closed = closed_port();
  std::promise<FullAnswer> promise;
  reader.read(request_to({closed, closed_port()}),
              [&](FullAnswer answer) { promise.set_value(std::move(answer)); });
  auto future = promise.get_future();
  ASSERT_EQ(future.wait_for(kLong), std::future_status::ready);
  const FullAnswer answer = future.get();
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().refused);
  EXPECT_EQ(answer.error().why, fmt::format("http://127.0.0.1:{}/metrics refused the connection", closed));
}

TEST(LoadReader, SpeaksIpv6) {
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    GTEST_SKIP() << "this kernel has no IPv6";
  }
  ::close(fd);
  std::string host;
  HttpsServer server(plain(), [&](ServerConnection& connection, const ServerRequest& request) {
    host = request.headers.at("host");
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  LoadReader reader(on_loopback());
  LoadRequest request = request_to({server.port()});
  request.ip = "::ffff:127.0.0.1";
  const Answer answer = read_now(reader, request);
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(host, fmt::format("[::ffff:127.0.0.1]:{}", server.port()));
}

TEST(LoadReader, FollowsNoRedirect) {
  std::atomic<bool> asked = false;
  HttpsServer other(plain(), [&](ServerConnection& connection, const ServerRequest&) {
    asked = true;
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  HttpsServer server(plain(), [&](ServerConnection& connection, const ServerRequest&) {
    connection.reply(307, "", fmt::format("Location: http://127.0.0.1:{}/metrics\r\n", other.port()));
  });
  LoadReader reader(on_loopback());
  const Answer answer = read_now(reader, request_to({server.port()}));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error(), HasSubstr("answered 307, a redirect, which is not followed"));
  EXPECT_FALSE(asked);
}

struct AddressRow {
  const char* ip;
  const char* told;
};

TEST(LoadReader, AddressesThatNoPodHas_AreNotAsked) {
  std::atomic<int> asked = 0;
  HttpsServer server(plain(), [&](ServerConnection& connection, const ServerRequest&) {
    ++asked;
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  LoadReader strict;
  LoadReader lenient(on_loopback());
  for (const AddressRow& row : {AddressRow{"127.0.0.1", "a loopback address"},
                                {"127.9.9.9", "a loopback address"},
                                {"::1", "a loopback address"},
                                {"::ffff:127.0.0.1", "a loopback address"},
                                {"169.254.169.254", "a link-local address"},
                                {"::ffff:169.254.169.254", "a link-local address"},
                                {"fe80::1", "a link-local address"},
                                {"224.0.0.1", "a multicast or broadcast address"},
                                {"255.255.255.255", "a multicast or broadcast address"},
                                {"ff02::1", "a multicast or broadcast address"},
                                {"0.0.0.0", "an unspecified address"},
                                {"::ffff:0.0.0.0", "an unspecified address"},
                                {"::", "an unspecified address"}}) {
    LoadRequest request = request_to({server.port()});
    request.ip = row.ip;
    const std::string told = fmt::format("the pod says that its address is {}: that is {}", row.ip, row.told);
    const Answer answer = read_now(strict, request);
    ASSERT_FALSE(answer) << row.ip;
    EXPECT_THAT(answer.error(), HasSubstr(told));
    if (std::string_view(row.told) == "a loopback address") continue;
    EXPECT_THAT(read_now(lenient, request).error(), HasSubstr(told)) << "it is for loopback alone";
  }
  EXPECT_EQ(asked, 0);
}

TEST(LoadReader, RefusesRequestsThatMakeNoSense) {
  LoadReader reader(on_loopback());
  const auto told = [&](auto spoil) {
    LoadRequest request = request_to({8000});
    spoil(request);
    const Answer answer = read_now(reader, request);
    return answer ? std::string("read") : answer.error();
  };
  EXPECT_THAT(told([](auto& r) { r.ip = ""; }), HasSubstr("\"\" is no IP address"));
  EXPECT_THAT(told([](auto& r) { r.ip = "vllm.default.svc"; }), HasSubstr("is no IP address"));
  EXPECT_THAT(told([](auto& r) { r.ip = "fe80::1%eth0"; }), HasSubstr("is no IP address"));
  EXPECT_THAT(told([](auto& r) { r.sources.clear(); }), HasSubstr("no port to ask"));
  EXPECT_THAT(told([](auto& r) {
                r.sources.push_back({0, "/metrics", metrics_of({})});
              }),
              HasSubstr("0 is no port"));
  EXPECT_THAT(told([](auto& r) { r.sources[0].port = 65'536; }), HasSubstr("65536 is no port"));
  EXPECT_THAT(told([](auto& r) { r.sources[0].path = "metrics"; }),
              HasSubstr("spec.engine.metricsPath must begin with /"));
  EXPECT_THAT(told([](auto& r) { r.sources[0].path = "/a HTTP/1.1\r\nX: y"; }),
              HasSubstr("spec.engine.metricsPath"));
  EXPECT_THAT(told([](auto& r) { r.sources[0].path = "/" + std::string(10'000, 'a'); }),
              HasSubstr("spec.engine.metricsPath"));
}

TEST(LoadReader, LetsFurtherPortsWaitTheirTurn) {
  std::atomic<int> answered{0};
  HttpsServer server(plain(), [&](ServerConnection& connection, const ServerRequest&) {
    ++answered;
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  LoadReaderOptions options = on_loopback();
  options.max_connections = 2;
  LoadReader reader(options);
  std::vector<std::future<Answer>> reads;
  for (int i = 0; i < 50; ++i) {
    reads.push_back(begin_read(reader, request_to({server.port(), server.port()})));
  }
  for (auto& read : reads) {
    const Answer answer = result_of(std::move(read));
    ASSERT_TRUE(answer) << answer.error();
    EXPECT_EQ(answer->in_flight, 6);
  }
  EXPECT_EQ(answered, 100);
}

TEST(LoadReader, CountsTheWaitForAConnectionAmongTheDeadline) {
  HttpsServer server(
      plain(), [](ServerConnection& connection, const ServerRequest&) { connection.client_gone(kLong); });
  LoadReaderOptions options = on_loopback();
  options.max_connections = 1;
  LoadReader reader(options);
  auto first = begin_read(reader, request_to({server.port()}));
  const Answer second = read_now(reader, request_to({server.port()}, 100ms));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), HasSubstr("had to wait for too many others and was not asked within 100 ms"));
}

// 400 KiB of metrics, none of which is wanted but the first three.
std::string long_metrics() {
  std::string body(kMetrics);
  while (body.size() < 400U << 10) body += "other{label=\"value\"} 1\n";
  return body;
}

TEST(LoadReader, FloodOfOneNamespace_DelaysNoOther) {
  HttpsServer floods(plain(), [](ServerConnection& connection, const ServerRequest&) {
    static const std::string body = long_metrics();
    connection.send(with_length(body, body.size()));
  });
  HttpsServer calm(plain(), [](ServerConnection& connection, const ServerRequest&) {
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  LoadReaderOptions options = on_loopback();
  options.bytes_per_second = 64U << 10;
  LoadReader reader(options);
  LoadRequest flood = request_to({floods.port()}, 500ms);
  flood.ns = "noisy";
  std::vector<std::future<Answer>> reads;
  for (int i = 0; i < 8; ++i) reads.push_back(begin_read(reader, flood));
  const Answer put_off = result_of(std::move(reads[0]));
  ASSERT_FALSE(put_off) << "its budget is not enough for this";
  EXPECT_THAT(put_off.error(),
              HasSubstr("was not read to its end within 500 ms: the engines of its namespace "
                        "answer with more than 65536 bytes a second"));
  LoadRequest other = request_to({calm.port()});
  other.ns = "calm";
  EXPECT_TRUE(read_now(reader, other)) << "of another budget";
}

TEST(LoadReader, AnswerBeyondTheBudget_IsReadWithPauses) {
  HttpsServer server(plain(), [](ServerConnection& connection, const ServerRequest&) {
    static const std::string body = long_metrics();
    connection.send(with_length(body, body.size()));
  });
  LoadReaderOptions options = on_loopback();
  options.bytes_per_second = 256U << 10;
  LoadReader reader(options);
  const Answer answer = read_now(reader, request_to({server.port()}));
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(*answer, (Load{3, 0.5}));
}

TEST(LoadReader, RefusesMoreThanItMayHold) {
  HttpsServer server(
      plain(), [](ServerConnection& connection, const ServerRequest&) { connection.client_gone(kLong); });
  LoadReaderOptions options = on_loopback();
  options.max_connections = 1;
  options.max_waiting = 1;
  LoadReader reader(options);
  auto first = begin_read(reader, request_to({server.port()}));
  const Answer two_more = read_now(reader, request_to({server.port(), server.port()}));
  ASSERT_FALSE(two_more);
  EXPECT_THAT(two_more.error(), HasSubstr("too many engines are being read at once"));
  auto one_more = begin_read(reader, request_to({server.port()}, 100ms));
  EXPECT_THAT(result_of(std::move(one_more)).error(), HasSubstr("had to wait"));
}

TEST(LoadReader, CallsBackForEveryReadWhenItIsDestroyed) {
  HttpsServer server(
      plain(), [](ServerConnection& connection, const ServerRequest&) { connection.client_gone(kLong); });
  LoadReaderOptions options = on_loopback();
  options.max_connections = 3;
  std::vector<std::future<Answer>> reads;
  {
    LoadReader reader(options);
    for (int i = 0; i < 10; ++i) {
      reads.push_back(begin_read(reader, request_to({server.port(), server.port()})));
    }
  }
  for (auto& read : reads) {
    ASSERT_EQ(read.wait_for(0s), std::future_status::ready);
    EXPECT_THAT(read.get().error(), HasSubstr("the reader is being stopped"));
  }
}

TEST(LoadReader, TakesReadsFromManyThreadsAndCallsBackOnOne) {
  HttpsServer server(plain(), [](ServerConnection& connection, const ServerRequest&) {
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  constexpr int kThreads = 4;
  constexpr int kReads = 25;
  int called = 0;  // no lock: only one thread counts
  {
    LoadReader reader(on_loopback());
    std::vector<std::thread> threads;
    std::atomic<int> left{kThreads * kReads};
    std::promise<void> all;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < kReads; ++j) {
          reader.read(request_to({server.port()}), [&](const FullAnswer& answer) {
            called += answer ? 1 : 0;
            if (--left == 0) all.set_value();
          });
        }
      });
    }
    for (auto& thread : threads) thread.join();
    ASSERT_EQ(all.get_future().wait_for(kLong), std::future_status::ready);
  }
  EXPECT_EQ(called, kThreads * kReads);
}

TEST(LoadReader, MayBeAskedAgainFromACallback) {
  HttpsServer server(plain(), [](ServerConnection& connection, const ServerRequest&) {
    connection.send(with_length(kMetrics, kMetrics.size()));
  });
  LoadReader reader(on_loopback());
  std::promise<Answer> second;
  reader.read(request_to({server.port()}), [&](const FullAnswer&) {
    reader.read(request_to({server.port()}),
                [&](FullAnswer answer) { second.set_value(in_words(std::move(answer))); });
  });
  EXPECT_TRUE(result_of(second.get_future()));
}

}  // namespace
}  // namespace poolwarden::engine
